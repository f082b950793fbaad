"""Owns the transport that awaits: what an SDK's asynchronous client sends its requests through."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import cache
from typing import Any, cast

from tidegate.client.driving import pieces_async, run_async
from tidegate.client.patience import Patience
from tidegate.client.pursuit import STREAM, Ask, Command, Denied, GaveUp, Lost, Pause, Read, Rest
from tidegate.client.transport.call import Call, call_of, head_of, is_generation


class AsyncResilientTransport:
    """Wraps an asynchronous transport of ``library``; see :class:`ResilientTransport`."""

    def __init__(self, inner: Any, library: Any, patience: Patience | None = None) -> None:
        self._inner = inner
        self._library = library
        self._patience = patience or Patience()

    async def handle_async_request(self, request: Any) -> Any:
        """Send one request; see ``AsyncBaseTransport`` of the library."""
        if not is_generation(request):
            return await self._inner.handle_async_request(request)
        await request.aread()
        call = call_of(request, self._library, self._patience)
        work = _Awaiting(self._inner, call, self._library)
        try:
            if not call.streaming:
                head, body = await run_async(call.pursuit.whole(), work.do)
                return call.answer(head, work.response, self._library.ByteStream(body))
            head = await run_async(call.pursuit.opening(), work.do)
        except (Lost, GaveUp) as error:
            await work.close()
            raise call.failure(error) from error.__cause__
        except BaseException:
            await work.leave()
            raise
        if not head.streams or STREAM not in head.headers:
            return work.response
        return call.answer(head, work.response, _stream_type(self._library)(work))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()

    async def __aenter__(self) -> AsyncResilientTransport:
        await self._inner.__aenter__()
        return self

    async def __aexit__(self, *exception: Any) -> None:
        await self._inner.__aexit__(*exception)


class _Awaiting:
    """Does what a pursuit says, in the task that asks."""

    def __init__(self, inner: Any, call: Call, library: Any) -> None:
        self.call = call
        self.response: Any = None
        self._inner = inner
        self._library = library
        self._body: AsyncIterator[bytes] | None = None

    async def do(self, command: Command) -> Any:
        """Do one step. Raises Lost."""
        try:
            match command:
                case Ask():
                    await self.close()
                    self.response = await self._inner.handle_async_request(self.call.made(command))
                    self._body = aiter(self.response.stream)
                    return head_of(self.response)
                case Read():
                    assert self._body is not None
                    return await anext(self._body, b"")
                case Rest():
                    assert self._body is not None
                    return b"".join([data async for data in self._body])
                case Pause(seconds):
                    await self.close()
                    await asyncio.sleep(seconds)
        except self._library.TransportError as error:
            await self.close()
            raise self.call.lost(error) from error
        return None

    async def close(self) -> None:
        """Let go of the connection."""
        if self.response is not None:
            await self.response.aclose()

    async def leave(self) -> None:
        """Let go of the connection, and stop a generation that has not ended.

        The task that leaves may be cancelled, which does not hinder this.
        """
        await self.close()
        cancellation = self.call.cancellation()
        if cancellation is not None:
            await asyncio.shield(asyncio.get_running_loop().create_task(self._stop(cancellation)))

    async def _stop(self, cancellation: Any) -> None:
        try:
            response = await self._inner.handle_async_request(cancellation)
            await response.aclose()
        except self._library.TransportError:
            pass  # it goes on to its end, which harms nobody who waits


class _Frames:
    """The body of a streamed answer, for an SDK that awaits."""

    def __init__(self, work: _Awaiting) -> None:
        self._work = work
        self._left = False
        """Or given up: then the stream is for whoever comes later."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        work = self._work
        try:
            async for several in pieces_async(work.call.pursuit.frames(), work.do):
                yield b"".join([piece.data for piece in several])
        except (GaveUp, Denied) as error:
            self._left = True
            raise work.call.failure(error) from error.__cause__

    async def aclose(self) -> None:
        """The SDK has read enough: an answer that is not complete is wanted no more."""
        left, self._left = self._left, True
        if left:
            await self._work.close()
        else:
            await self._work.leave()


@cache
def _stream_type(library: Any) -> type[_Frames]:
    """The body of a streamed answer as a kind of the library's own, which it insists on."""
    return cast(type[_Frames], type("_FramesOfLibrary", (_Frames, library.AsyncByteStream), {}))
