"""The access log: one line for each generation when it has ended, and for each request that was refused.

Never a key, a prompt or an answer.
"""

from __future__ import annotations

import logging

from tidegate.core.event import Failure

logger = logging.getLogger("tidegate.access")


class AccessLog:
    """Writes lines while ``enabled``."""

    def __init__(self) -> None:
        self.enabled = True

    def generated(
        self,
        caller: str,
        model: str,
        outcome: str,
        error: Failure | None,
        seconds: float,
        first: float | None,
        deltas: int,
        stream: str,
    ) -> None:
        """A generation has ended. ``model`` is ``asked>answered`` where a fallback model was asked last."""
        if not self.enabled:
            return
        ttft = "-" if first is None else f"{first * 1000:.0f}ms"
        reason = f" {error.type}: {error.message}" if error is not None else ""
        logger.info(
            "%s model=%s caller=%s deltas=%d ttft=%s total=%.2fs stream=%s%s",
            outcome,
            model,
            caller,
            deltas,
            ttft,
            seconds,
            stream,
            reason,
        )

    def called(self, path: str, caller: str, model: str, error: Failure | None, seconds: float) -> None:
        """What was forwarded to ``path`` of an upstream has ended."""
        if self.enabled:
            outcome = "completed" if error is None else "failed"
            reason = f" {error.type}: {error.message}" if error is not None else ""
            logger.info(
                "%s %s model=%s caller=%s total=%.2fs%s", outcome, path, model, caller, seconds, reason
            )

    def refused(self, dialect: str, reason: Failure) -> None:
        """A request was answered with an error before it became a generation."""
        if self.enabled:
            logger.info("refused %s %d %s: %s", dialect, reason.status, reason.type, reason.message)
