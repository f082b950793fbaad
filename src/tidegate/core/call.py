"""A call: what is asked of a model beside generations, and forwarded as it is (embeddings, images …)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Call:
    """One call in the caller's words. ``path`` stands below an upstream's base URL, such as /embeddings.

    ``write`` makes the body for an upstream that knows the model under the given name. ``slow`` tells that
    an answer's first byte may take as long as the whole of it, as that of an image does. A ``name`` is in the
    ledger once, however often it is asked.
    """

    path: str
    content_type: str
    write: Callable[[str], bytes]
    slow: bool = False
    name: str = ""


class Reply(Protocol):
    """An answer of status 2xx whose body is still to be read."""

    status: int
    headers: Mapping[bytes, bytes]
    """Names in lower case."""

    async def read(self) -> bytes:
        """What has come of the body, at least a byte; empty at its end. Raises SourceError."""
        ...

    def close(self) -> None:
        """Let go of the connection; an answer that was not read to its end is broken off."""
        ...


@runtime_checkable
class CallSource(Protocol):
    """A source that also answers calls."""

    async def call(self, call: Call) -> Reply:
        """Begin a call. Raises a SourceError, also for an upstream's answer of any status but 2xx."""
        ...
