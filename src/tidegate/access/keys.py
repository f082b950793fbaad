"""Owns virtual keys: finding the one that a request presents, and telling which caller it belongs to.

Keys are kept as SHA-256 digests only, never as texts.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from hashlib import sha256
from typing import Final
from urllib.parse import parse_qs

import msgspec

from tidegate.config import Auth


class Caller(msgspec.Struct, frozen=True):
    """Whoever sends a request.

    ``id`` is the same after every restart and may be shown, logged and stored; ``name`` is for people.
    """

    id: str
    name: str


OPEN: Final = Caller("open", "anyone")


class KeyRing:
    """The keys that are accepted, and the caller behind each.

    A lookup takes constant time in the sense that matters: what is compared is the digest of the presented
    key. Whoever guesses cannot choose digests, so how far a comparison got says nothing about a key that
    would get further. The last word is `hmac.compare_digest` all the same, because a dict compares bytes as
    they come.
    """

    def __init__(self, auth: Auth) -> None:
        self._open = auth.keys == "open"
        self._callers: dict[bytes, tuple[bytes, Caller]] = {}
        for key in auth.list:
            digest = _digest(key.reveal())
            self._callers[digest] = (digest, _caller_of(digest))

    def __len__(self) -> int:
        return len(self._callers)

    @property
    def open(self) -> bool:
        """Whether a request needs no key."""
        return self._open

    def identify(self, presented: bytes | str | None) -> Caller | None:
        """Return the caller that a key belongs to; None when there is no such key.

        While the ring is open, every request is the same caller, whatever key it brings: clients often insist
        on sending one.
        """
        if self._open:
            return OPEN
        if not presented:
            return None
        digest = _digest(presented)
        found = self._callers.get(digest)
        if found is None or not hmac.compare_digest(found[0], digest):
            return None
        return found[1]


def presented_key(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """Return the key that a request presents; None when it brings none.

    Read are ``Authorization: Bearer KEY``, ``Authorization: KEY``, ``x-api-key``, ``api-key`` and
    ``x-goog-api-key``, in this order. Names must be in lower case, as HTTP servers hand them over. Other
    schemes (``Basic …``) are no keys.
    """
    x_api_key = api_key = goog_api_key = None
    for name, value in headers:
        if name == b"authorization":
            key = _authorization_key(value)
            if key:
                return key
        elif name == b"x-api-key":
            x_api_key = x_api_key or value.strip()
        elif name == b"api-key":
            api_key = api_key or value.strip()
        elif name == b"x-goog-api-key":
            goog_api_key = goog_api_key or value.strip()
    return x_api_key or api_key or goog_api_key or None


def key_in_query(query: str) -> bytes | None:
    """Return the key in a request's query, where Google's API takes one as well; None when there is none."""
    key = parse_qs(query).get("key", [""])[-1]
    return key.encode("utf-8", "surrogatepass") or None


def _authorization_key(value: bytes) -> bytes:
    parts = value.split(None, 2)
    if len(parts) == 1 and parts[0].lower() != b"bearer":
        return parts[0]
    if len(parts) == 2 and parts[0].lower() == b"bearer":
        return parts[1]
    return b""


def _digest(key: bytes | str) -> bytes:
    # A key from an environment variable may hold lone surrogates; it must not crash a start or a request.
    return sha256(key if isinstance(key, bytes) else key.encode("utf-8", "surrogatepass")).digest()


def _caller_of(digest: bytes) -> Caller:
    """Return the caller of a key. The id is hashed once more: it is public, the digest is not."""
    caller_id = "key-" + sha256(b"tidegate caller " + digest).hexdigest()[:12]
    return Caller(caller_id, caller_id)
