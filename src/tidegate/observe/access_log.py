"""The access log: one line for each generation when it has ended, and for each request that was refused.

Never a key, a prompt or an answer.
"""

from __future__ import annotations

import logging

from tidegate.core.event import Failure

logger = logging.getLogger("tidegate.access")


_LONGEST = 2000
"""Characters of one value."""


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
            _on_one_line(model),
            caller,
            deltas,
            ttft,
            seconds,
            stream,
            _on_one_line(reason),
        )

    def called(self, path: str, caller: str, model: str, error: Failure | None, seconds: float) -> None:
        """What was forwarded to ``path`` of an upstream has ended."""
        if self.enabled:
            outcome = "completed" if error is None else "failed"
            reason = f" {error.type}: {error.message}" if error is not None else ""
            logger.info(
                "%s %s model=%s caller=%s total=%.2fs%s",
                outcome,
                path,
                _on_one_line(model),
                caller,
                seconds,
                _on_one_line(reason),
            )

    def refused(self, dialect: str, reason: Failure) -> None:
        """A request was answered with an error before it became a generation."""
        if self.enabled:
            message = _on_one_line(reason.message)
            logger.info("refused %s %d %s: %s", dialect, reason.status, reason.type, message)


def _on_one_line(text: str) -> str:
    """What callers and upstreams choose, so that it can neither forge a line nor steer a terminal."""
    if not text.isprintable():
        text = "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
