"""Owns the client for programs that await: its connections are those of the gateway itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Generator
from types import TracebackType
from typing import Any, Final, Self
from uuid import uuid4

from tidegate.client.driving import pieces_async, run_async
from tidegate.client.errors import ClientError, RequestRefused
from tidegate.client.patience import Patience
from tidegate.client.pursuit import Ask, Command, Denied, GaveUp, Head, Lost, Pause, Read, Rest
from tidegate.client.reading import Answer, Reading
from tidegate.client.server import Server, about_stream, about_streams, answer_to, named_server
from tidegate.client.server import question as asked_for
from tidegate.core.event import AnyEvent, Text
from tidegate.core.usage import Usage
from tidegate.errors import TidegateError
from tidegate.net.address import split_url
from tidegate.net.connection import Connection
from tidegate.net.pool import Pool
from tidegate.net.pull import Pull

_CONNECT_SECONDS: Final = 10.0
_CANCEL_SECONDS: Final = 3.0
_LONGEST_BODY: Final = 64 * 1024 * 1024


class _Wire:
    """One connection at a time to one server, made anew for every request. Does what a pursuit says."""

    def __init__(self, pool: Pool, url: str, silence: float, connect: float = _CONNECT_SECONDS) -> None:
        self._pool = pool
        self._address = split_url(url)[0]
        self._silence = silence
        self._connect = connect
        self._connection: Connection | None = None
        self._pull: Pull | None = None

    async def do(self, command: Command) -> Any:
        """Do one step. Raises Lost."""
        if isinstance(command, Pause):
            self.close()
            await asyncio.sleep(command.seconds)
            return None
        if isinstance(command, Ask):
            self.close()
            try:
                self._connection = await self._pool.connect(self._address, self._connect)
            except TidegateError as error:
                raise Lost(error, sent=False) from error
        try:
            async with asyncio.timeout(self._silence):
                return await self._exchange(command)
        except TimeoutError:
            self.close()
            late = TimeoutError(f"nothing came for {self._silence:g} s")
            raise Lost(late, sent=True) from None
        except TidegateError as error:
            self.close()
            raise Lost(error, sent=True) from error

    async def _exchange(self, command: Command) -> Any:
        if isinstance(command, Ask):
            assert self._connection is not None
            self._pull = Pull(self._connection)
            self._connection.send(self._encoded(command), self._pull)
            head = await self._pull.response()
            names = (
                (name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers.items()
            )
            return Head(head.status, dict(names))
        assert self._pull is not None
        if isinstance(command, Read):
            return await self._pull.read()
        return await self._pull.read_whole(_LONGEST_BODY) or b""

    def _encoded(self, ask: Ask) -> bytes:
        lines = [f"{ask.method} {ask.path} HTTP/1.1", f"host: {self._address.host_header}"]
        lines += [f"{name}: {value}" for name, value in ask.headers.items()]
        if ask.body is not None:
            lines.append(f"content-length: {len(ask.body)}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + (ask.body or b"")

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._connection.abort()
            self._connection = self._pull = None


class AsyncStream:
    """One answer as it comes, for ``async with`` and ``async for``; opened by either, or by :meth:`open`.

    Leaving ``async with`` before the end cancels the generation, unless that was interrupted or is to go on:
    see :meth:`leave_running`. The last event is End, which has the usage.
    """

    def __init__(
        self, reading: Reading, pool: Pool, server: Server, patience: Patience, *, keep_running: bool
    ) -> None:
        self._reading = reading
        self._server = server
        self._pool = pool
        self._wire = _Wire(pool, server.url, patience.silence)
        self._keep_running = keep_running
        self._opened = False
        self._events = self._iterate()

    async def open(self) -> Self:
        """Send the request, if that has not been done. Raises ClientError."""
        if self._opened:
            return self
        self._opened = True
        reading = self._reading
        try:
            head = await run_async(reading.pursuit.opening(), self._wire.do)
            if not head.streams and not reading.ended:
                body = await run_async(_rest(), self._wire.do)
                raise reading.refused(head, body)
        except (Lost, GaveUp) as error:
            self._wire.close()
            raise reading.failure(error) from error.__cause__
        except RequestRefused:
            self._wire.close()
            raise
        except BaseException:
            await self._leave()
            raise
        return self

    async def _iterate(self) -> AsyncIterator[AnyEvent]:
        await self.open()
        reading = self._reading
        try:
            if reading.ended:
                return
            async for several in pieces_async(reading.pursuit.frames(), self._wire.do):
                for event in reading.events(several):
                    yield event
        except (GaveUp, Denied) as error:
            self._keep_running = True
            raise reading.failure(error) from error.__cause__
        finally:
            self._wire.close()

    def __aiter__(self) -> AsyncIterator[AnyEvent]:
        return self._events

    async def __anext__(self) -> AnyEvent:
        return await anext(self._events)

    async def text(self) -> AsyncIterator[str]:
        """The text of the first choice alone, as it comes."""
        async for event in self._events:
            if type(event) is Text and event.choice == 0 and event.text:
                yield event.text

    async def collect(self) -> Answer:
        """Read to the end; all of the answer. Raises ClientError, which has what came until then."""
        async for _ in self._events:
            pass
        return self._reading.answer()

    @property
    def stream_id(self) -> str | None:
        """The id to resume by, once the stream is open."""
        return self._reading.pursuit.stream_id

    @property
    def cursor(self) -> str | None:
        """The place behind the last event that was read; ``resume(…, after=cursor)`` goes on there."""
        return self._reading.cursor

    @property
    def model(self) -> str | None:
        """The model that answers, once it is known."""
        return self._reading.model

    @property
    def usage(self) -> Usage | None:
        """The tokens that the gateway counted, once the answer is complete."""
        return self._reading.usage

    def answer(self) -> Answer:
        """What has come so far."""
        return self._reading.answer()

    def leave_running(self) -> None:
        """Leaving is not to cancel the generation; it can be resumed by its id."""
        self._keep_running = True

    async def cancel(self) -> None:
        """Stop the generation. What came is kept, by the gateway too."""
        self._wire.close()
        self._keep_running = True
        ask = self._reading.pursuit.cancellation()
        if ask is not None:
            stopping = _call(self._pool, self._server, ask, self.stream_id, _CANCEL_SECONDS)
            await asyncio.shield(asyncio.get_running_loop().create_task(stopping))

    def close(self) -> None:
        """Stop reading, without a word to the gateway."""
        self._wire.close()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._leave()

    async def _leave(self) -> None:
        if self._keep_running:
            self.close()
            return
        try:
            await self.cancel()
        except ClientError:
            pass  # it ends by itself; whoever leaves has other things to do


class AsyncClient:
    """A gateway to ask. Tasks of one event loop may share it: every answer has connections of its own.

    ``url`` is the gateway's address, with ``/v1`` or without. ``key`` is sent to it as a bearer token.
    """

    def __init__(self, url: str, key: str | None = None, *, patience: Patience | None = None) -> None:
        self._server = named_server(url, key)
        self._patience = patience or Patience()
        self._pool = Pool(time.monotonic)

    def stream(
        self,
        *,
        messages: Any,
        model: str | None = None,
        idempotency_key: str | None = None,
        keep_running: bool = False,
        **fields: Any,
    ) -> AsyncStream:
        """Ask for an answer. ``messages`` is one text or a list of OpenAI's messages; ``fields`` are those of
        OpenAI's chat completions, such as ``temperature``, ``tools`` or ``max_tokens``.

        The same ``idempotency_key`` and fields get the same answer again, which is not made twice.
        ``keep_running``: leaving early does not cancel.
        """
        ask = asked_for(
            self._server, {"model": model, "messages": messages, **fields}, idempotency_key or uuid4().hex
        )
        reading = Reading(self._server, self._patience, ask, None, None)
        return AsyncStream(reading, self._pool, self._server, self._patience, keep_running=keep_running)

    async def collect(self, *, messages: Any, model: str | None = None, **fields: Any) -> Answer:
        """The whole answer. Fields are those of :meth:`stream`."""
        async with self.stream(messages=messages, model=model, **fields) as stream:
            return await stream.collect()

    def resume(self, stream_id: str, after: str | int | None = None) -> AsyncStream:
        """Go on with a stream of any client: from its beginning, or behind a cursor.

        Leaving it early cancels nothing: others may read it.
        """
        cursor = str(after) if after is not None else None
        reading = Reading(self._server, self._patience, None, stream_id, cursor)
        return AsyncStream(reading, self._pool, self._server, self._patience, keep_running=True)

    async def cancel(self, stream_id: str) -> None:
        """Stop a generation, wherever it is read. Raises ClientError when there is no such stream."""
        await _cancel(self._pool, self._server, stream_id)

    async def send_input(
        self,
        stream_id: str,
        text: str | None = None,
        *,
        approve: bool | None = None,
        value: Any = None,
        question: str | None = None,
    ) -> None:
        """Answer what a stream asks for: with a text, a decision, or any JSON ``value``.

        ``question`` is its id, needed where it asks several things. Raises RequestRefused where nothing is
        asked or the answer does not fit.
        """
        fields = {"text": text, "approve": approve, "input": value}
        ask = answer_to(self._server, stream_id, fields, question)
        await _call(self._pool, self._server, ask, stream_id)

    async def streams(self) -> list[dict[str, Any]]:
        """The streams of this key, newest first, as ``GET /v1/streams`` tells them."""
        told = await _call(self._pool, self._server, about_streams(self._server))
        return list(told["data"])

    async def state(self, stream_id: str) -> dict[str, Any]:
        """What the gateway knows of one stream: its model, its outcome, where it is."""
        return dict(
            await _call(self._pool, self._server, about_stream(self._server, "GET", stream_id), stream_id)
        )


def _rest() -> Generator[Command, Any, bytes]:
    body: bytes = yield Rest()
    return body


async def _cancel(pool: Pool, server: Server, stream_id: str) -> None:
    ask = about_stream(server, "DELETE", stream_id)
    await _call(pool, server, ask, stream_id)


async def _call(
    pool: Pool, server: Server, ask: Ask, stream_id: str | None = None, seconds: float = _CONNECT_SECONDS
) -> Any:
    """The value in the answer to one small request. Raises ClientError."""
    reading = Reading(server, Patience(give_up=0), ask, stream_id, None)
    wire = _Wire(pool, server.url, seconds, seconds)
    try:
        head = await wire.do(reading.pursuit.ask)
        body = await wire.do(Rest())
    except Lost as error:
        raise reading.failure(error) from error.__cause__
    finally:
        wire.close()
    return reading.value(head, body)
