"""Owns virtual keys: finding the one that a request presents, and telling which caller it belongs to.

Keys are kept as SHA-256 digests only, never as texts.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final, cast
from urllib.parse import parse_qs

import msgspec

from tidegate.access.stored_keys import PREFIX, StoredKeys
from tidegate.config import Auth
from tidegate.core.request import OnDisconnect
from tidegate.errors import ConfigError, Unauthenticated
from tidegate.store.keys import KeyRow


class Caller(msgspec.Struct, frozen=True):
    """Whoever sends a request.

    ``id`` is the same after every restart and with every key of the caller's, and may be shown, logged and
    stored; ``name`` is for people. ``key`` is the id of a key of the store; ``models`` and ``workspaces`` are
    what that key is for, None being everything. ``on_disconnect`` is what the key says of its streams.
    """

    id: str
    name: str
    key: str | None = None
    models: tuple[str, ...] | None = None
    workspaces: tuple[str, ...] | None = None
    on_disconnect: OnDisconnect | None = None


_OTHER_SCHEMES: Final = (b"basic", b"digest", b"negotiate", b"ntlm")
"""What follows these words is no key; AnythingLLM's clients may write any word before theirs."""

OPEN: Final = Caller("open", "anyone")


class KeyRing:
    """The keys that are accepted, and the caller behind each.

    A lookup takes constant time in the sense that matters: what is compared is the digest of the presented
    key. Whoever guesses cannot choose digests, so how far a comparison got says nothing about a key that
    would get further. The last word is `hmac.compare_digest` all the same, because a dict compares bytes as
    they come.
    """

    def __init__(
        self,
        auth: Auth,
        stored: StoredKeys | None = None,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._open = auth.keys == "open"
        self._stored = stored
        self._now_ms = now_ms
        self._callers: dict[bytes, tuple[bytes, Caller]] = {}
        for key in auth.list:
            digest = digest_of(key.reveal())
            self._callers[digest] = (digest, _caller_of(digest))

    def __len__(self) -> int:
        return len(self._callers)

    @property
    def open(self) -> bool:
        """Whether a request needs no key."""
        return self._open

    def identify(self, presented: bytes | str | None) -> Caller | None:
        """Return the caller that a key belongs to; None when there is no such key.

        Raises Unauthenticated for a key that is good no more.
        While the ring is open, every request is the same caller, whatever key it brings: clients often insist
        on sending one.
        """
        if self._open:
            return OPEN
        if not presented:
            return None
        digest = digest_of(presented)
        found = self._callers.get(digest)
        if found is not None and hmac.compare_digest(found[0], digest):
            return found[1]
        row = self._stored.find(digest) if self._stored is not None else None
        if row is None or not hmac.compare_digest(row.digest, digest):
            return None
        self._check(row)
        policy = cast(OnDisconnect | None, row.on_disconnect)
        return Caller(row.caller, row.name, row.id, _frozen(row.models), _frozen(row.workspaces), policy)

    def may_be_new(self, presented: bytes | str | None) -> bool:
        """Whether a key that is not known here may have been made a moment ago: the store should be asked."""
        prefix: bytes | str = PREFIX.encode() if isinstance(presented, bytes) else PREFIX
        return bool(presented) and self._stored is not None and presented.startswith(prefix)  # type: ignore[union-attr, arg-type]

    async def refresh(self) -> None:
        """Ask the store whether keys have changed. Raises StoreError."""
        if self._stored is not None:
            await self._stored.refresh()

    def _check(self, row: KeyRow) -> None:
        """Raise Unauthenticated, which says why, for a key that is good no more."""
        if row.revoked_ms is not None:
            raise Unauthenticated(
                f"the API key {row.shown} was revoked at {_moment(row.revoked_ms)}; ask for another one",
                code="key_revoked",
            )
        if row.expires_ms is not None and row.expires_ms <= self._now_ms():
            raise Unauthenticated(
                f"the API key {row.shown} expired at {_moment(row.expires_ms)}; ask for another one",
                code="key_expired",
            )


def resolve(auth: Auth, stored: int) -> Auth:
    """Whether keys are asked for, now that it is known how many the store holds. Raises ConfigError."""
    if stored and auth.with_keys is not None:
        raise ConfigError(auth.with_keys)
    if not stored and auth.without_keys is not None:
        raise ConfigError(auth.without_keys)
    return msgspec.structs.replace(auth, keys="required") if stored else auth


def presented_key(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """Return the key that a request presents; None when it brings none.

    Read are ``Authorization: Bearer KEY``, ``Authorization: KEY``, ``x-api-key``, ``api-key`` and
    ``x-goog-api-key``, in this order. Names must be in lower case, as HTTP servers hand them over. What
    other schemes of HTTP (``Basic …``) present are no keys.
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


def keyless(target: str) -> str:
    """A request target without the key in its query, so that it may be kept."""
    path, question, query = target.partition("?")
    if not question or "key=" not in query:
        return target
    return f"{path}?{'&'.join(each for each in query.split('&') if not each.startswith('key='))}"


def _authorization_key(value: bytes) -> bytes:
    parts = value.split(None, 2)
    if len(parts) == 1 and parts[0].lower() != b"bearer":
        return parts[0]
    if len(parts) == 2 and parts[0].lower() not in _OTHER_SCHEMES:
        return parts[1]
    return b""


def digest_of(key: bytes | str) -> bytes:
    """The SHA-256 of a key, which is all that is kept of it."""
    # A key from an environment variable may hold lone surrogates; it must not crash a start or a request.
    return sha256(key if isinstance(key, bytes) else key.encode("utf-8", "surrogatepass")).digest()


def _caller_of(digest: bytes) -> Caller:
    """Return the caller of a key. The id is hashed once more: it is public, the digest is not."""
    caller_id = "key-" + sha256(b"tidegate caller " + digest).hexdigest()[:12]
    return Caller(caller_id, caller_id)


def _frozen(names: list[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(names)


def _moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
