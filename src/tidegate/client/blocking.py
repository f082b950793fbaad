"""Owns the client for programs that block: its connections are the standard library's."""

from __future__ import annotations

import http.client
import io
import socket
import threading
from collections.abc import Generator, Iterator
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit
from uuid import uuid4

from tidegate.client.driving import pieces, run
from tidegate.client.errors import ClientError, RequestRefused
from tidegate.client.patience import Patience
from tidegate.client.pursuit import Ask, Command, Denied, GaveUp, Head, Lost, Pause, Read, Rest
from tidegate.client.reading import Answer, Reading
from tidegate.client.server import Server, about_stream, about_streams, answer_to, named_server
from tidegate.client.server import question as asked_for
from tidegate.core.event import AnyEvent, Text
from tidegate.core.usage import Usage

CONNECT_SECONDS: Final = 10.0
_CANCEL_SECONDS: Final = 3.0
_MOST_READ: Final = 65536
_LONGEST_BODY: Final = 64 * 1024 * 1024


class _WholeLines(io.BufferedReader):
    """Lines that have their ends: the standard library takes a head that is cut for one that is short."""

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(size)
        if not line.endswith(b"\n"):
            raise ConnectionResetError("the connection ended in the head of a response")
        return line


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *arguments: Any, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        self.fp = _WholeLines(self.fp.detach())


class Wire:
    """One connection at a time to one server, made anew for every request. Does what a pursuit says.

    :meth:`abort` may be called from another thread, and ends whatever this one waits for.
    """

    def __init__(self, url: str, silence: float | None, connect: float = CONNECT_SECONDS) -> None:
        parts = urlsplit(url)
        self._secure = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if self._secure else 80)
        self._silence = silence
        self._connect = connect
        self._connection: http.client.HTTPConnection | None = None
        self._response: http.client.HTTPResponse | None = None
        self._socket: Any = None
        self._aborted = threading.Event()

    def do(self, command: Command) -> Any:
        """Do one step. Raises Lost, also when :meth:`abort` was called."""
        try:
            match command:
                case Ask():
                    return self._ask(command)
                case Read():
                    assert self._response is not None
                    return self._response.read1(_MOST_READ)
                case Rest():
                    assert self._response is not None
                    return self._response.read(_LONGEST_BODY)
                case Pause(seconds):
                    self.close()
                    self._aborted.wait(seconds)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Lost(error, sent=True) from error
        return None

    def _ask(self, ask: Ask) -> Head:
        self.close()
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        connection = self._connection = kind(self._host, self._port, timeout=self._connect)
        connection.response_class = _Response
        try:
            connection.connect()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Lost(error, sent=False) from error
        self._socket = connection.sock
        if self._aborted.is_set():
            raise ConnectionAbortedError("aborted")
        connection.sock.settimeout(self._silence)
        connection.request(ask.method, ask.path, ask.body, dict(ask.headers))
        self._response = connection.getresponse()
        headers = {name.lower(): value for name, value in self._response.getheaders()}
        return Head(self._response.status, headers)

    @property
    def aborted(self) -> bool:
        """Whether :meth:`abort` was called."""
        return self._aborted.is_set()

    def abort(self) -> None:
        """End what is under way, from any thread."""
        self._aborted.set()
        if self._socket is not None:
            try:
                # close() would not wake a thread that reads; the shutdown() of a TLS socket is not made for
                # threads.
                _PLAIN_SHUTDOWN(self._socket, socket.SHUT_RDWR)
            except OSError:
                pass  # the other side was faster

    def close(self) -> None:
        """Let go of the connection."""
        if self._response is not None:
            self._response.close()
            self._response = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None


_PLAIN_SHUTDOWN: Final = socket.socket.shutdown


class Stream:
    """One answer as it comes, for ``with`` and ``for``; opened by either, or by :meth:`open`.

    Leaving ``with`` before the end cancels the generation, unless that was interrupted or is to go on:
    see :meth:`leave_running`. The last event is End, which has the usage.
    """

    def __init__(self, reading: Reading, server: Server, patience: Patience, *, keep_running: bool) -> None:
        self._reading = reading
        self._server = server
        self._wire = Wire(server.url, patience.silence)
        self._keep_running = keep_running
        self._opened = False
        self._events = self._iterate()

    def open(self) -> Self:
        """Send the request, if that has not been done. Raises ClientError."""
        if self._opened:
            return self
        self._opened = True
        reading = self._reading
        try:
            head = run(reading.pursuit.opening(), self._wire.do)
            if not head.streams and not reading.ended:
                body = run(_rest(), self._wire.do)
                raise reading.refused(head, body)
        except (Lost, GaveUp) as error:
            self._wire.close()
            raise reading.failure(error) from error.__cause__
        except RequestRefused:
            self._wire.close()
            raise
        except BaseException:
            self._leave()
            raise
        return self

    def _iterate(self) -> Iterator[AnyEvent]:
        self.open()
        reading = self._reading
        try:
            if reading.ended:
                return
            for several in pieces(reading.pursuit.frames(), self._wire.do):
                yield from reading.events(several)
        except (GaveUp, Denied) as error:
            self._keep_running = True
            raise reading.failure(error) from error.__cause__
        finally:
            self._wire.close()

    def __iter__(self) -> Iterator[AnyEvent]:
        return self._events

    def __next__(self) -> AnyEvent:
        return next(self._events)

    def text(self) -> Iterator[str]:
        """The text of the first choice alone, as it comes."""
        for event in self._events:
            if type(event) is Text and event.choice == 0 and event.text:
                yield event.text

    def collect(self) -> Answer:
        """Read to the end; all of the answer. Raises ClientError, which has what came until then."""
        for _ in self._events:
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

    def cancel(self) -> None:
        """Stop the generation. What came is kept, by the gateway too."""
        self._wire.close()
        self._keep_running = True
        ask = self._reading.pursuit.cancellation()
        if ask is not None:
            call(self._server, ask, self.stream_id, _CANCEL_SECONDS)

    def close(self) -> None:
        """Stop reading, without a word to the gateway."""
        self._wire.close()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    def _leave(self) -> None:
        if self._keep_running:
            self.close()
            return
        try:
            self.cancel()
        except ClientError:
            pass  # it ends by itself; whoever leaves has other things to do


class Client:
    """A gateway to ask. Threads may share it: every answer has connections of its own.

    ``url`` is the gateway's address, with ``/v1`` or without. ``key`` is sent to it as a bearer token.
    """

    def __init__(self, url: str, key: str | None = None, *, patience: Patience | None = None) -> None:
        self._server = named_server(url, key)
        self._patience = patience or Patience()

    def stream(
        self,
        *,
        messages: Any,
        model: str | None = None,
        idempotency_key: str | None = None,
        keep_running: bool = False,
        **fields: Any,
    ) -> Stream:
        """Ask for an answer. ``messages`` is one text or a list of OpenAI's messages; ``fields`` are those of
        OpenAI's chat completions, such as ``temperature``, ``tools`` or ``max_tokens``.

        The same ``idempotency_key`` and fields get the same answer again, which is not made twice.
        ``keep_running``: leaving early does not cancel.
        """
        ask = asked_for(
            self._server, {"model": model, "messages": messages, **fields}, idempotency_key or uuid4().hex
        )
        reading = Reading(self._server, self._patience, ask, None, None)
        return Stream(reading, self._server, self._patience, keep_running=keep_running)

    def collect(self, *, messages: Any, model: str | None = None, **fields: Any) -> Answer:
        """The whole answer. Fields are those of :meth:`stream`."""
        with self.stream(messages=messages, model=model, **fields) as stream:
            return stream.collect()

    def resume(self, stream_id: str, after: str | int | None = None) -> Stream:
        """Go on with a stream of any client: from its beginning, or behind a cursor.

        Leaving it early cancels nothing: others may read it.
        """
        cursor = str(after) if after is not None else None
        reading = Reading(self._server, self._patience, None, stream_id, cursor)
        return Stream(reading, self._server, self._patience, keep_running=True)

    def cancel(self, stream_id: str) -> None:
        """Stop a generation, wherever it is read. Raises ClientError when there is no such stream."""
        _cancel(self._server, stream_id)

    def send_input(
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
        call(self._server, ask, stream_id)

    def streams(self) -> list[dict[str, Any]]:
        """The streams of this key, newest first, as ``GET /v1/streams`` tells them."""
        told = call(self._server, about_streams(self._server))
        return list(told["data"])

    def state(self, stream_id: str) -> dict[str, Any]:
        """What the gateway knows of one stream: its model, its outcome, where it is."""
        return dict(call(self._server, about_stream(self._server, "GET", stream_id), stream_id))


def _rest() -> Generator[Command, Any, bytes]:
    body: bytes = yield Rest()
    return body


def _cancel(server: Server, stream_id: str) -> None:
    call(server, about_stream(server, "DELETE", stream_id), stream_id)


def call(server: Server, ask: Ask, stream_id: str | None = None, seconds: float = CONNECT_SECONDS) -> Any:
    """The value in the answer to one small request. Raises ClientError."""
    reading = Reading(server, Patience(give_up=0), ask, stream_id, None)
    wire = Wire(server.url, seconds, seconds)
    try:
        head = wire.do(reading.pursuit.ask)
        body = wire.do(Rest())
    except Lost as error:
        raise reading.failure(error) from error.__cause__
    finally:
        wire.close()
    return reading.value(head, body)
