"""Owns what the client raises. Every error knows what came so far and how to go on.

::

    ClientError
    ├── GatewayUnreachable     nobody answers at the address
    ├── RequestRefused         the gateway answered with an error before anything came
    ├── StreamFailed           the stream ended in its error: the model failed, or somebody cancelled
    ├── StreamInterrupted      the connection was lost and not found again in time; the stream may go on
    └── StreamUnavailable      there is no such stream, or not any more (410), or not for this key (403)
"""

from __future__ import annotations

from typing import Any

import msgspec

from tidegate.errors import TidegateError


class ClientError(TidegateError):
    """The root of what the client raises.

    ``text`` is all text of the answer that came, ``stream_id`` and ``cursor`` say where to go on:
    ``client.resume(error.stream_id, after=error.cursor)`` yields what is missing, and nothing else. Before
    there is a ``stream_id``, the same request with the same ``idempotency_key`` asks for the same answer.
    ``status`` is that of the response, 0 where there was none; ``retry_after`` is in seconds.
    """

    status = 0
    type = "client_error"

    def __init__(
        self,
        message: str,
        *,
        stream_id: str | None = None,
        cursor: str | None = None,
        text: str = "",
        idempotency_key: str | None = None,
        **fields: Any,
    ) -> None:
        super().__init__(message, **fields)
        self.stream_id = stream_id
        self.cursor = cursor
        self.text = text
        self.idempotency_key = idempotency_key


class GatewayUnreachable(ClientError):
    """Nobody answers at the address; nothing was asked of anybody."""

    type = "unreachable"


class RequestRefused(ClientError):
    """The gateway answered with an error, whose words these are, before anything of an answer came."""


class StreamFailed(ClientError):
    """The stream ended in its error and will not go on. ``type`` is cancelled when somebody stopped it."""


class StreamInterrupted(ClientError):
    """No way back to the stream was found in time. The generation may go on without this client."""

    type = "interrupted"


class StreamUnavailable(ClientError):
    """The gateway does not give out the stream: unknown (404), another caller's (403) or not kept (410)."""


def told(body: bytes, status: int, url: str) -> tuple[str, dict[str, Any]]:
    """The message in the body of an error response, and the fields of an exception."""
    fields: dict[str, Any] = {"status": status}
    try:
        error = msgspec.json.decode(body)["error"]
        message = str(error["message"])
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
        return f"{url} answers with status {status}, and not like a Tidegate", fields
    for name in ("type", "code", "param"):
        if isinstance(error.get(name), str):
            fields[name] = error[name]
    return message, fields
