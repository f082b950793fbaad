"""Keeps finished responses for those who asked for them, within bounds, until the process ends."""

from __future__ import annotations

from collections import OrderedDict
from typing import Protocol

import msgspec


class StoredResponse(msgspec.Struct, frozen=True):
    """A finished response. ``response`` is its object and ``input`` its input, both as JSON.

    ``input`` is a text or a list of items: all that the model was shown but for instructions, what came
    before it too.
    """

    id: str
    response: bytes
    input: bytes

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.response) + len(self.input)


class ResponseStore(Protocol):
    """Where responses are kept. A caller sees only what is their own."""

    def put(self, caller: str, stored: StoredResponse) -> None: ...

    def get(self, caller: str, response: str) -> StoredResponse | None: ...

    def delete(self, caller: str, response: str) -> bool:
        """Whether there was one of this id."""
        ...


class MemoryResponses:
    """A :class:`ResponseStore` in memory: a caller's oldest go when there are too many, or too large ones.

    ``most`` responses and ``most_bytes`` bytes are kept for each caller.
    """

    def __init__(self, *, most: int = 1000, most_bytes: int = 64 * 1024 * 1024) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._kept: dict[str, OrderedDict[str, StoredResponse]] = {}
        self._sizes: dict[str, int] = {}

    def put(self, caller: str, stored: StoredResponse) -> None:
        """See :class:`ResponseStore`, as for all that follow. What is too large by itself is not kept."""
        self.delete(caller, stored.id)
        if stored.size > self._most_bytes:
            return
        kept = self._kept.setdefault(caller, OrderedDict())
        kept[stored.id] = stored
        self._sizes[caller] = self._sizes.get(caller, 0) + stored.size
        while len(kept) > self._most or self._sizes[caller] > self._most_bytes:
            self.delete(caller, next(iter(kept)))

    def get(self, caller: str, response: str) -> StoredResponse | None:
        kept = self._kept.get(caller)
        return None if kept is None else kept.get(response)

    def delete(self, caller: str, response: str) -> bool:
        stored = self.get(caller, response)
        if stored is None:
            return False
        del self._kept[caller][response]
        self._sizes[caller] -= stored.size
        return True
