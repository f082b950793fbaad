"""What a caller asked for, and what is fixed about the stream that answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Raw, Struct

OnDisconnect = Literal["cancel", "drain", "detach"]


class Request(Struct, frozen=True):
    """One generation asked for, in the caller's dialect.

    ``fields`` are the members of the JSON body, each still encoded: they pass through to an upstream of
    the same dialect byte for byte. The rest is what the gateway itself must know.
    """

    dialect: str
    model: str | None
    fields: Mapping[str, Raw]
    stream: bool = False
    include_usage: bool = False
    choices: int = 1


class Header(Struct, frozen=True):
    """The immutable head of a stream, fixed before its first event. Renderers know nothing else.

    ``id`` is 128 random bits in hexadecimal; ``created`` Unix time in seconds; ``body_hash`` the SHA-256
    of the request body.
    """

    id: str
    caller: str
    dialect: str
    model: str
    created: int
    stream: bool = True
    include_usage: bool = False
    on_disconnect: OnDisconnect = "cancel"
    body: bytes = b""
    body_hash: str = ""
    idempotency_key: str | None = None
    renderer: int = 1
