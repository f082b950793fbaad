"""Owns the transport that blocks: what an SDK's synchronous client sends its requests through."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import cache
from typing import Any, cast

from tidegate.client.driving import pieces, run
from tidegate.client.patience import Patience
from tidegate.client.pursuit import STREAM, Ask, Command, Denied, GaveUp, Lost, Pause, Read, Rest
from tidegate.client.transport.call import Call, call_of, head_of, is_generation


class ResilientTransport:
    """Wraps a transport of ``library``, whose interface it has.

    Give it to a client of the library, and that to an SDK; :func:`resilient` does both.
    """

    def __init__(self, inner: Any, library: Any, patience: Patience | None = None) -> None:
        self._inner = inner
        self._library = library
        self._patience = patience or Patience()

    def handle_request(self, request: Any) -> Any:
        """Send one request; see ``BaseTransport`` of the library."""
        if not is_generation(request):
            return self._inner.handle_request(request)
        request.read()
        call = call_of(request, self._library, self._patience)
        work = _Blocking(self._inner, call, self._library)
        try:
            if not call.streaming:
                head, body = run(call.pursuit.whole(), work.do)
                return call.answer(head, work.response, self._library.ByteStream(body))
            head = run(call.pursuit.opening(), work.do)
        except (Lost, GaveUp) as error:
            work.close()
            raise call.failure(error) from error.__cause__
        except BaseException:
            work.leave()
            raise
        if not head.streams or STREAM not in head.headers:
            return work.response
        return call.answer(head, work.response, _stream_type(self._library)(work))

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()

    def __enter__(self) -> ResilientTransport:
        self._inner.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._inner.__exit__(*exception)


class _Blocking:
    """Does what a pursuit says, in the thread that asks."""

    def __init__(self, inner: Any, call: Call, library: Any) -> None:
        self.call = call
        self.response: Any = None
        self._inner = inner
        self._library = library
        self._body: Iterator[bytes] = iter(())

    def do(self, command: Command) -> Any:
        """Do one step. Raises Lost."""
        try:
            match command:
                case Ask():
                    self.close()
                    self.response = self._inner.handle_request(self.call.made(command))
                    self._body = iter(self.response.stream)
                    return head_of(self.response)
                case Read():
                    return next(self._body, b"")
                case Rest():
                    return b"".join(self._body)
                case Pause(seconds):
                    self.close()
                    threading.Event().wait(seconds)
        except self._library.TransportError as error:
            self.close()
            raise self.call.lost(error) from error
        return None

    def close(self) -> None:
        """Let go of the connection."""
        if self.response is not None:
            self.response.close()

    def leave(self) -> None:
        """Let go of the connection, and stop a generation that has not ended, if that can be done at once."""
        self.close()
        cancellation = self.call.cancellation()
        if cancellation is None:
            return
        try:
            self._inner.handle_request(cancellation).close()
        except self._library.TransportError:
            pass  # it goes on to its end, which harms nobody who waits


class _Frames:
    """The body of a streamed answer, for an SDK that blocks."""

    def __init__(self, work: _Blocking) -> None:
        self._work = work
        self._left = False
        """Or given up: then the stream is for whoever comes later."""

    def __iter__(self) -> Iterator[bytes]:
        work = self._work
        try:
            for several in pieces(work.call.pursuit.frames(), work.do):
                yield b"".join([piece.data for piece in several])
        except (GaveUp, Denied) as error:
            self._left = True
            raise work.call.failure(error) from error.__cause__

    def close(self) -> None:
        """The SDK has read enough: an answer that is not complete is wanted no more."""
        left, self._left = self._left, True
        if left:
            self._work.close()
        else:
            self._work.leave()


@cache
def _stream_type(library: Any) -> type[_Frames]:
    """The body of a streamed answer as a kind of the library's own, which it insists on."""
    return cast(type[_Frames], type("_FramesOfLibrary", (_Frames, library.SyncByteStream), {}))
