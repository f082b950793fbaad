"""The program in one screen: caller → request → admit → route → stream. Knows no HTTP.

Whoever serves a request calls :meth:`Gateway.start` and attaches a reader to the stream that it returns;
everything that happens to the generation afterwards happens in :meth:`Gateway._generate`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any, Protocol

import msgspec
from msgspec import Raw, Struct

from tidegate.access import Caller
from tidegate.core.attempt import Attempt
from tidegate.core.call import Call
from tidegate.core.clock import Clock, Ids
from tidegate.core.event import AnyEvent, Failure, Outcome, failure
from tidegate.core.request import Header, OnBreak, OnDisconnect, Request
from tidegate.core.usage import Usage
from tidegate.errors import Conflict, Gone, Interrupted, NotFound, Overloaded, TidegateError
from tidegate.routing.attempt import Attempts
from tidegate.routing.calls import Calls, Delivery
from tidegate.routing.plan import plan
from tidegate.routing.shown import lacks_only_its_end
from tidegate.routing.table import Route, Routes
from tidegate.streams.archive import Claim
from tidegate.streams.registry import CANCELLED, Readable, Stream, Streams

logger = logging.getLogger("tidegate")

_FALSE = Raw(b"false")
_BACKGROUND = "background"
"""The form of an answer whose client asks for it later."""

_WANTED_SECONDS = 30.0
"""For so long after a restart a stream waits for a reader that wants the rest."""

_STARTING_MS = 1000
"""A stream is started within this time of its claim."""

_SYNC_SECONDS = 0.005
"""Between two looks whether a log that syncs has taken an end; it may yet refuse it."""

_NOTHING_SHOWN = 2
"""Events of a stream that has but a start and an end."""


class Policies(Struct, frozen=True):
    """What a single request may decide for itself, and what its key is for, None being everything."""

    on_disconnect: OnDisconnect | None = None
    idempotency_key: str | None = None
    on_break: OnBreak | None = None
    fallback: bool = True
    key: str | None = None
    models: tuple[str, ...] | None = None
    workspaces: tuple[str, ...] | None = None


class Observer(Protocol):
    """Is told how each generation and each call ended."""

    def generated(self, stream: Stream, outcome: Outcome, error: Failure | None) -> None: ...

    def called(
        self,
        call: Call,
        caller: Caller,
        model: str,
        error: Failure | None,
        seconds: float,
        usage: Usage | None,
    ) -> None: ...


class Gateway:
    """Starts generations and sees them through. ``routes`` may be replaced; running streams keep theirs."""

    def __init__(
        self,
        routes: Routes,
        streams: Streams,
        attempts: Attempts,
        calls: Calls,
        observer: Observer,
        clock: Clock,
        ids: Ids,
        max_streams: int,
    ) -> None:
        self.routes = routes
        self.streams = streams
        self.max_streams = max_streams
        self.closing = False
        self._attempts = attempts
        self._calls = calls
        self._observer = observer
        self.clock = clock
        self._ids = ids
        streams.unbegun = lambda stream: observer.generated(stream, "cancelled", CANCELLED)

    def start(
        self, caller: str, request: Request, policies: Policies, body: bytes, path: str = "", name: str = ""
    ) -> Stream:
        """Begin to answer, as the stream ``name`` where that is claimed.

        Raises RequestError, Overloaded or Full when it will not be begun.
        """
        self._admit()
        return self._start(caller, request, policies, body, path, name)

    def start_within(self, parent: Header, request: Request, body: bytes, name: str) -> Stream:
        """Begin to answer what the stream ``parent`` asks, for its caller, as the stream ``name``.

        It has its place already: what was admitted is not stopped halfway for want of room. Raises
        RequestError and Full.
        """
        policies = Policies(
            on_disconnect="cancel", key=parent.key, models=parent.models, workspaces=parent.workspaces
        )
        return self._start(parent.caller, request, policies, body, "", name, parent)

    def _start(
        self,
        caller: str,
        request: Request,
        policies: Policies,
        body: bytes,
        path: str,
        name: str,
        parent: Header | None = None,
    ) -> Stream:
        if policies.on_break is not None or not policies.fallback:
            request = msgspec.structs.replace(
                request, on_break=policies.on_break, fallback=policies.fallback and request.fallback
            )
        asked = plan(self.routes.within(policies.models), request)
        route = asked[0].route
        header = Header(
            id=name or self._ids(),
            caller=caller,
            dialect=request.dialect,
            model=route.model,
            created=self.clock.now_ms() // 1000,
            stream=request.stream,
            include_usage=request.include_usage,
            on_disconnect=_on_disconnect(policies, request, route),
            body=body,
            idempotency_key=policies.idempotency_key,
            key=policies.key,
            form=request.form,
            thinking_to_content=route.thinking_to_content
            if request.thinking_to_content is None
            else request.thinking_to_content,
            path=path,
            headers=request.headers,
            keep=request.fields.get("store") != _FALSE if parent is None else parent.keep,
            on_break=policies.on_break,
            fallback=request.fallback,
            models=policies.models,
            workspaces=policies.workspaces,
            parent=None if parent is None else parent.id,
            depth=0 if parent is None else parent.depth + 1,
        )
        stream = self.streams.create(header)
        stream.run(self._generate(stream, self._attempts.answer(asked, stream.producer)))
        return stream

    def take_over(self, stream: Stream, request: Request, said: Sequence[AnyEvent]) -> None:
        """See through a generation that a killed process had begun; ``said`` is what it had shown.

        Where the last reader's leaving cancels, nobody may want the rest any more: then it waits for one.
        An answer of which only the end is missing is complete, as when an upstream breaks off there.
        """
        header, producer = stream.header, stream.producer
        whole = lacks_only_its_end(request, said)
        producer.attempted(
            Attempt(
                deployment=producer.answering or header.model,
                began_ms=header.created * 1000,
                seconds=max(self.clock.now_ms() / 1000 - header.created, 0.0),
                outcome="completed" if whole else "interrupted",
                deltas=producer.deltas - sum(attempt.deltas for attempt in producer.attempts),
                characters=producer.characters - sum(attempt.characters for attempt in producer.attempts),
            )
        )
        stream.run(self._generate(stream, _nothing() if whole else self._go_on(stream, request, said)))

    async def _go_on(self, stream: Stream, request: Request, said: Sequence[AnyEvent]) -> None:
        if stream.header.on_disconnect == "cancel" and not stream.readers:
            wanted = asyncio.Event()
            stream.wanted = wanted.set
            try:
                async with asyncio.timeout(_WANTED_SECONDS):
                    await wanted.wait()
            except TimeoutError:
                raise Interrupted("the gateway was stopped before the answer ended") from None
            finally:
                stream.wanted = None
        header = stream.header
        request = msgspec.structs.replace(request, on_break=header.on_break, fallback=header.fallback)
        asked, producer = plan(self.routes, request), stream.producer
        await self._attempts.go_on(asked, producer, said, producer.answering)

    async def claim(
        self, caller: str, key: str, body_hash: str, workspaces: tuple[str, ...] | None = None
    ) -> Readable | str:
        """The stream that an idempotency key stands for, else the name of the one that is to be started.

        A stream that failed before it showed anything stands for nothing: whoever repeats wants an answer.
        Raises Conflict when the key was sent with another request, Forbidden where the stream is none of
        these ``workspaces``, None being all, and StoreError.
        """
        archive = self.streams.archive
        made = self._ids()
        while True:
            claim = await archive.claim(caller, key, Claim(made, body_hash, self.clock.now_ms()))
            if claim.stream == made:
                return made
            if claim.body_hash != body_hash:
                raise Conflict(
                    f"the Idempotency-Key {key!r} was sent with another request; use a new key for a new "
                    "request, or send exactly the first one again",
                    code="idempotency_key_reused",
                )
            found = await self._claimed(caller, claim, workspaces)
            if found is not None:
                return found
            await archive.release(caller, key, claim.stream)

    async def _claimed(
        self, caller: str, claim: Claim, workspaces: tuple[str, ...] | None
    ) -> Readable | None:
        """The stream that was claimed, if it is worth having."""
        began = self.clock.monotonic()
        while True:
            try:
                found = await self.streams.find(claim.stream, caller, workspaces)
            except Gone:
                return None
            except NotFound:
                # Whoever has just claimed it starts it in a moment, in this process or another. The calendar
                # may have been set back since.
                waited_ms = (self.clock.monotonic() - began) * 1000
                if max(self.clock.now_ms() - claim.created_ms, waited_ms) > _STARTING_MS:
                    return None
                await asyncio.sleep(_STARTING_MS / 50_000)
                continue
            end = found.end
            failed = end is not None and end.outcome != "completed" and found.last_seq <= _NOTHING_SHOWN
            return None if failed else found

    async def call(self, caller: Caller, model: str | None, call: Call, delivery: Delivery) -> str:
        """Answer what is no generation; the public name of the model that did. Raises TidegateError."""
        self._admit()
        route = self.routes.within(caller.models).resolve(model)
        began = self.clock.monotonic()
        error: Failure | None = CANCELLED
        try:
            await self._calls.answer(route, call, delivery)
            error = None
        except TidegateError as raised:
            error = failure(raised)
            raise
        finally:
            seconds = self.clock.monotonic() - began
            self._observer.called(call, caller, route.model, error, seconds, delivery.usage)
        return route.model

    @property
    def busy(self) -> int:
        """Streams and calls under way."""
        return len(self.streams) + self._calls.open

    def _admit(self) -> None:
        if self.closing:
            raise Overloaded("the gateway is shutting down; try again in a moment", retry_after=2)
        if self.busy >= self.max_streams:
            raise Overloaded(
                f"{self.max_streams} streams are open, as many as server.max_streams allows; try again soon",
                retry_after=1,
            )

    async def _generate(self, stream: Stream, answer: Coroutine[Any, Any, None]) -> None:
        """Run one generation to its end, which is always one End in its log."""
        outcome: Outcome = "completed"
        error: Failure | None = None
        try:
            await answer
        except Interrupted as raised:
            outcome, error = "interrupted", failure(raised)
        except TidegateError as raised:
            outcome, error = "failed", failure(raised)
        except asyncio.CancelledError:
            if stream.left:
                return
            outcome, error = "cancelled", _cancelled(self.closing)
        except Exception:  # a defect must end its own stream honestly, and no other
            logger.exception("stream %s: a defect ended the generation", stream.header.id)
            outcome, error = "failed", Failure("the gateway failed; its log says why")
        stream.producer.end(outcome, error=error)
        with suppress(asyncio.CancelledError):  # it has ended
            while self.streams.log.waits(stream.header.id):  # noqa: ASYNC110 - where it syncs, for a moment
                await asyncio.sleep(_SYNC_SECONDS)
        end = stream.producer.end_event
        assert end is not None
        self._observer.generated(stream, end.outcome, end.error)


async def _nothing() -> None:
    """What is left to do for an answer of which only the end is missing."""


def _on_disconnect(policies: Policies, request: Request, route: Route) -> OnDisconnect:
    """What becomes of a stream whose last reader leaves; nobody need stay with one in the background."""
    if request.form == _BACKGROUND:
        return "detach"
    return policies.on_disconnect or (
        "detach" if policies.idempotency_key is not None else route.on_disconnect
    )


def _cancelled(closing: bool) -> Failure:
    if closing:
        return Failure("the gateway was shut down before the answer ended", type="cancelled", status=503)
    return CANCELLED
