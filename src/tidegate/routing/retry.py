"""What an error says about trying again: here, elsewhere, or not at all, and after how long."""

from __future__ import annotations

from collections.abc import Callable

from tidegate.config import Retry
from tidegate.errors import Rejected, SourceError, TidegateError, TooLong

_LONGEST_WAIT = 5.0
"""An upstream that asks to wait longer than this is not waited for; the caller is told instead."""

_THIS_REQUEST = frozenset({400, 405, 413, 415, 422})
"""Statuses that blame the request: any other deployment would refuse it as well."""


def wait_before(number: int, retry: Retry, error: SourceError, random: Callable[[], float]) -> float:
    """Seconds after attempt ``number``: what the upstream asked for, else exponential with jitter."""
    if error.retry_after is not None:
        return error.retry_after
    backoff: float = retry.backoff * 2 ** (number - 1)
    return min(backoff, _LONGEST_WAIT) * (0.5 + random() / 2)


def blames_the_request(error: SourceError) -> bool:
    """Whether any other deployment would refuse the request as well."""
    if isinstance(error, TooLong):
        return False
    return isinstance(error, Rejected) and error.status in _THIS_REQUEST


def another_model_may(error: TidegateError) -> bool:
    """Whether what failed with one model may succeed with another, in the time that is left."""
    return error.code != "total" and not (isinstance(error, SourceError) and blames_the_request(error))


def again(error: SourceError) -> bool:
    """Whether the same deployment is worth another attempt."""
    if not error.retryable or error.code == "first_token":
        return False
    return error.retry_after is None or error.retry_after <= _LONGEST_WAIT
