"""The path of a call, top to bottom: what is asked, who answers, and the answer as the caller wants it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from starlette.types import Receive, Scope, Send

from tidegate.access import Caller
from tidegate.core.call import Call, Reply
from tidegate.core.clock import Ids
from tidegate.core.usage import Usage
from tidegate.dialects.translation.counts import usage_of
from tidegate.errors import Broken, Rejected, SourceError
from tidegate.generation import Gateway
from tidegate.routing.calls import Delivery
from tidegate.server.calls import embeddings, rerank
from tidegate.server.calls.asked import Asked, read_call
from tidegate.server.calls.counted import Counted
from tidegate.server.incoming import Gone, header_of, read_body
from tidegate.server.urls import EMBEDDINGS, RERANK
from tidegate.wire.ascii_json import ascii_json

logger = logging.getLogger("tidegate")

_MOST_WHOLE = 256 * 1024 * 1024
"""Bytes of an answer that is changed on its way, and so has to be held: 2000 embeddings are about 64 MiB."""

_AT_ONCE = 256 * 1024

_SLOW = ("/images/", "/audio/")
_KEPT = (b"content-type", b"content-disposition")

Change = Callable[[bytes], dict[str, Any]]
"""Makes a caller's answer from an upstream's body. Raises Broken."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """What to ask of an upstream, and what to make of its answer: without ``change`` nothing."""

    asked: Asked
    change: Change | None = None
    simpler: Asked | None = None
    """What to ask instead of an upstream that refuses the form of the answer."""


class CallEndpoint:
    """An ASGI application for one path. ``path`` is where an upstream is asked, below its base URL."""

    def __init__(self, gateway: Gateway, ids: Ids, max_body: Callable[[], int], path: str) -> None:
        self._gateway = gateway
        self._ids = ids
        self._max_body = max_body
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises TidegateError while nothing was sent."""
        try:
            body = await read_body(scope, receive, self._max_body())
        except Gone:
            return
        asked = read_call(body, header_of(scope, b"content-type"))
        model = scope["path_params"].get("model") or asked.model
        plan = self._plan(body, asked)
        await while_connected(receive, self._answer(scope["tidegate.caller"], model, plan, send))

    def _plan(self, body: bytes, asked: Asked) -> _Plan:
        if self._path == EMBEDDINGS:
            vectors = embeddings.read_wanted(body)
            return _Plan(
                asked.with_fields({}),
                lambda told: embeddings.answer(told, vectors),
                asked.with_fields({"encoding_format": None}) if vectors.encoding_format else None,
            )
        if self._path == RERANK:
            order = rerank.read_wanted(body)
            return _Plan(
                asked.with_fields(rerank.changes(order)),
                lambda told: rerank.answer(told, order, self._ids()),
            )
        return _Plan(asked)

    async def _answer(self, caller: Caller, model: str | None, plan: _Plan, send: Send) -> None:
        delivery: _Changed | _Forwarded
        name = self._ids()
        delivery = _Changed(plan.change) if plan.change is not None else _Forwarded(send)
        try:
            try:
                public = await self._ask(caller, model, plan.asked, delivery, name)
            except Rejected as error:
                if plan.simpler is None or not _about_the_form(error):
                    raise
                public = await self._ask(caller, model, plan.simpler, delivery, name)
        except SourceError as error:
            if not delivery.begun:
                raise
            # Sent without its end, so that nobody takes the part for the whole.
            logger.warning("%s broke off: %s", self._path, error.message)
            return
        if isinstance(delivery, _Changed):
            answer = delivery.answer
            await send_json(send, {**answer, "model": answer.get("model") or public})

    async def _ask(
        self, caller: Caller, model: str | None, asked: Asked, delivery: Delivery, name: str
    ) -> str:
        call = Call(self._path, asked.content_type, asked.write, self._path.startswith(_SLOW), name)
        return await self._gateway.call(caller, model, call, delivery)


def _about_the_form(error: Rejected) -> bool:
    return error.status in (400, 422) and "encoding_format" in f"{error.param} {error.message}"


class _Changed:
    """Holds a whole answer. Implements :class:`tidegate.routing.calls.Delivery`."""

    begun = False

    def __init__(self, change: Change) -> None:
        self._change = change
        self.answer: dict[str, Any] = {}
        self.usage: Usage | None = None

    async def take(self, reply: Reply) -> None:
        parts = []
        size = 0
        while data := await reply.read():
            size += len(data)
            if size > _MOST_WHOLE:
                raise Broken(f"the upstream's answer is longer than {_MOST_WHOLE} bytes", retryable=False)
            parts.append(data)
        body = b"".join(parts)
        # A large one must not keep streams waiting.
        self.answer = self._change(body) if size <= _AT_ONCE else await asyncio.to_thread(self._change, body)
        self.usage = usage_of(self.answer.get("usage"))


class _Forwarded:
    """Sends an answer as it comes. Implements :class:`tidegate.routing.calls.Delivery`."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.begun = False
        self.usage: Usage | None = None

    async def take(self, reply: Reply) -> None:
        data = await reply.read()
        headers = [(name, reply.headers[name]) for name in _KEPT if name in reply.headers]
        if b"content-length" in reply.headers and b"content-encoding" not in reply.headers:
            headers.append((b"content-length", reply.headers[b"content-length"]))
        self.begun = True
        counted = Counted(reply.headers.get(b"content-type", b""))
        await self._send({"type": "http.response.start", "status": reply.status, "headers": headers})
        while data:
            counted.add(data)
            await self._send({"type": "http.response.body", "body": data, "more_body": True})
            data = await reply.read()
        self.usage = await counted.usage()
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})


async def send_json(send: Send, value: Any) -> None:
    """A whole answer of status 200."""
    body = ascii_json(value).encode("ascii")
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def while_connected(receive: Receive, work: Coroutine[Any, Any, None]) -> None:
    """Do the work for as long as the client is there; cancel it when it leaves. Raises what the work does."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_until_gone(receive))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
        if not task.done():
            task.cancel()
        await asyncio.wait({task, gone})
    if not task.cancelled():
        task.result()


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
