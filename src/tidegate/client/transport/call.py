"""Owns one generation that an SDK asks for, in the terms of the HTTP library that the SDK uses."""

from __future__ import annotations

import re
from typing import Any, Final, cast
from uuid import uuid4

import msgspec

from tidegate.client.patience import Patience, Waiting
from tidegate.client.pursuit import Ask, Denied, GaveUp, Head, Lost, Pursuit
from tidegate.client.splice import Splice

_GENERATION: Final = re.compile(r"(.*?)/(?:chat/completions|completions|responses|messages)/*$")
_OF_THE_REQUEST: Final = frozenset(
    {b"content-length", b"content-type", b"transfer-encoding", b"idempotency-key", b"accept"}
)
"""Headers of a request that say nothing about the request for the rest of its answer."""

_CANCEL_SECONDS: Final = 2.0


class Call:
    """One generation that an SDK asks for."""

    def __init__(self, request: Any, base: str, library: Any, patience: Patience) -> None:
        self._request = request
        self._library = library
        self._patience = patience
        body: bytes = request.content
        self.streaming = _asks_for_stream(body)
        kept = [(name, value) for name, value in request.headers.raw if name.lower() not in _OF_THE_REQUEST]
        self.headers = {_text(name): _text(value) for name, value in kept}
        asked = {_text(name): _text(value) for name, value in request.headers.raw}
        if not any(name.lower() == "idempotency-key" for name in asked):
            asked["Idempotency-Key"] = uuid4().hex
        if self.streaming:
            # Compression could not be cut and joined.
            for headers in (self.headers, asked):
                for name in [name for name in headers if name.lower() == "accept-encoding"]:
                    del headers[name]
                headers |= {"Accept-Encoding": "identity", "Tidegate-Event-Ids": "1"}
            self.headers["Accept"] = "text/event-stream"
        target = _text(request.url.raw_path)
        self.streams = f"{base}/streams"
        self.pursuit = Pursuit(
            Ask("POST", target, asked, body), self.streams, self.headers, Waiting(patience), Splice()
        )

    def made(self, ask: Ask) -> Any:
        """The library's own form of a request."""
        extensions = dict(self._request.extensions)
        timeout = dict(extensions.get("timeout") or {})
        if ask.method == "DELETE":
            timeout = dict.fromkeys(("connect", "read", "write", "pool"), _CANCEL_SECONDS)
        elif self.streaming:
            timeout["read"] = min(timeout.get("read") or self._patience.silence, self._patience.silence)
        extensions["timeout"] = timeout
        return self._library.Request(
            ask.method,
            self._request.url.copy_with(raw_path=ask.path.encode("ascii")),
            headers=list(ask.headers.items()),
            content=ask.body,
            extensions=extensions,
        )

    def lost(self, error: Exception) -> Lost:
        """What an error of the library's means; raises it where another try is of no use."""
        library = self._library
        if isinstance(error, library.UnsupportedProtocol | library.LocalProtocolError):
            raise error
        unsent = library.ConnectError | library.ConnectTimeout | library.PoolTimeout | library.ProxyError
        return Lost(error, sent=not isinstance(error, unsent))

    def failure(self, error: GaveUp | Denied | Lost) -> Exception:
        """What the SDK is told: an error of its library's, which it has a type of its own for."""
        if isinstance(error, Lost):
            return error.cause or self._library.RemoteProtocolError(str(error), request=self._request)
        pursuit = self.pursuit
        where = f"stream {pursuit.stream_id} after {pursuit.splice.cursor or 'its beginning'}"
        if isinstance(error, Denied):
            reason = (
                f"{where} cannot be resumed: the gateway answers {error.head.status} {_message(error.body)}"
            )
        else:
            reason = f"{where} could not be resumed within {error.seconds:.0f} s: {error}"
        kind = type(error.cause) if isinstance(error, GaveUp) and error.cause is not None else None
        if kind is None or not issubclass(kind, self._library.TransportError):
            kind = self._library.RemoteProtocolError
        return cast(Exception, cast(Any, kind)(reason, request=self._request))

    def cancellation(self) -> Any:
        """The request that stops the generation; None where there is none to stop."""
        ask = self.pursuit.cancellation()
        return None if ask is None else self.made(ask)

    def answer(self, head: Head, response: Any, stream: Any) -> Any:
        """The response that the SDK gets."""
        return self._library.Response(
            head.status, headers=response.headers, stream=stream, extensions=response.extensions
        )


def is_generation(request: Any) -> bool:
    """Whether a request asks for an answer; its body may be read then."""
    return request.method == "POST" and _GENERATION.fullmatch(request.url.path) is not None


def call_of(request: Any, library: Any, patience: Patience) -> Call:
    """The generation that a request asks for, whose body has been read."""
    found = _GENERATION.fullmatch(request.url.path)
    assert found is not None
    return Call(request, found[1], library, patience)


def head_of(response: Any) -> Head:
    return Head(response.status_code, {name.lower(): value for name, value in response.headers.items()})


def _asks_for_stream(body: bytes) -> bool:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return isinstance(value, dict) and value.get("stream") is True


def _message(body: bytes) -> str:
    try:
        return str(msgspec.json.decode(body)["error"]["message"])
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
        return ""


def _text(header: bytes) -> str:
    return header.decode("latin-1")
