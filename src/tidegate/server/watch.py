"""Tells metrics, the access log and the ledger how attempts, generations and calls have ended."""

from __future__ import annotations

from tidegate.access import Caller
from tidegate.access.ledger import Called, Ended, Ledger
from tidegate.core.call import Call
from tidegate.core.clock import Clock
from tidegate.core.event import Failure, Outcome
from tidegate.core.usage import Usage
from tidegate.errors import SourceError
from tidegate.observe.access_log import AccessLog
from tidegate.observe.metrics import Metrics
from tidegate.routing.table import Routes
from tidegate.streams.registry import Stream

NO_ROUTES = Routes((), None, lambda _: None)


class Watch:
    """Feeds metrics, the access log and the ledger with how attempts and generations ended."""

    def __init__(self, metrics: Metrics, access_log: AccessLog, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._metrics = metrics
        self._access_log = access_log
        self._clock = clock
        self.routes: Routes = NO_ROUTES

    def attempted(self, deployment: str, error: SourceError | None) -> None:
        """See :class:`tidegate.routing.attempt.Observer`."""
        label = "" if error is None else _error_type(error.type, error.code, error.status)
        self._metrics.attempted(deployment, label)

    def generated(self, stream: Stream, outcome: Outcome, error: Failure | None) -> None:
        """See :class:`tidegate.generation.Observer`."""
        producer, header = stream.producer, stream.header
        seconds = self._clock.monotonic() - producer.begun_at
        first = None if producer.first_delta_at is None else producer.first_delta_at - producer.begun_at
        error_type = "" if error is None else _error_type(error.type, error.code, error.status)
        label = header.model if self.routes.get(header.model) is not None else "other"
        self._metrics.generated(label, error_type, seconds, first, producer.deltas)
        model = header.model if producer.model is None else f"{header.model}>{producer.model}"
        self._access_log.generated(
            header.caller, model, outcome, error, seconds, first, producer.deltas, header.id
        )
        first_ms = None if first is None else round(first * 1000)
        self._ledger.record(_ended(stream, outcome, error, self._clock.now_ms(), first_ms, seconds))

    def inherited(self, stream: Stream) -> None:
        """A stream has ended that was begun by a process which died: its row may be missing."""
        end = stream.producer.end_event
        if end is not None:
            ended = _ended(stream, end.outcome, end.error, self._clock.now_ms(), None, None)
            self._ledger.record(ended._replace(recovered=True))

    def called(
        self,
        call: Call,
        caller: Caller,
        model: str,
        error: Failure | None,
        seconds: float,
        usage: Usage | None,
    ) -> None:
        """See :class:`tidegate.generation.Observer`."""
        self._access_log.called(call.path, caller.id, model, error, seconds)
        took_ms = round(seconds * 1000)
        began_ms = self._clock.now_ms() - took_ms
        self._ledger.record(Called(call, caller.id, caller.key, model, error, began_ms, took_ms, usage))


def _error_type(kind: str, code: str | None, status: int) -> str:
    """A label for an error, from our own few words: upstreams choose theirs freely."""
    if kind == "cancelled" or status == 504:
        return code or kind
    return str(status)


def _ended(
    stream: Stream,
    outcome: Outcome,
    error: Failure | None,
    now_ms: int,
    first_ms: int | None,
    seconds: float | None,
) -> Ended:
    producer = stream.producer
    end = stream.producer.end_event
    return Ended(
        stream.header,
        outcome if end is None else end.outcome,
        error,
        now_ms,
        first_ms,
        None if seconds is None else round(seconds * 1000),
        producer.deltas,
        producer.characters,
        None if end is None else end.usage,
        producer.model,
        producer.attempts,
        bool(producer.seams),
    )
