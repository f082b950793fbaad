"""Owns the responses that are kept for those who asked for them, within bounds, in the database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import msgspec
from sqlalchemy import Connection, delete, func, insert, select

from tidegate.store.database import Database
from tidegate.store.schema import responses

_WHOLE: Final = select(responses.c.id, responses.c.response, responses.c.input)
_DELETED: Final = b""
"""Stands for a response that was deleted: its stream may be there for longer, and is not to be shown."""

_SIZE: Final = func.length(responses.c.response) + func.length(responses.c.input)


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
    """Where responses are kept. A caller sees only what is their own. All but ``put`` raise StoreError."""

    def put(self, caller: str, stored: StoredResponse) -> None:
        """Keep a response, in place of one of the same id: whoever asks afterwards gets it."""
        ...

    async def get(self, caller: str, response: str) -> StoredResponse | None: ...

    async def holding(self, caller: str, words: bytes) -> StoredResponse | None:
        """The newest response in whose object or input these bytes are."""
        ...

    async def delete(self, caller: str, response: str, *, streamed: bool = False) -> bool:
        """Whether there was one of this id; then it is remembered, as if it were kept, that it is deleted.

        ``streamed``: there is a stream of it, from which it could be made anew.
        """
        ...

    async def is_deleted(self, caller: str, response: str) -> bool: ...


class StoredResponses:
    """A :class:`ResponseStore`: a caller's oldest go when there are too many, or too large ones.

    ``most`` responses and ``most_bytes`` bytes are kept for each caller; ``now_ms`` is Unix time in ms.
    """

    def __init__(
        self,
        database: Database,
        now_ms: Callable[[], int],
        *,
        most: int = 1000,
        most_bytes: int = 64 * 1024 * 1024,
    ) -> None:
        self._database = database
        self._now_ms = now_ms
        self._most = most
        self._most_bytes = most_bytes

    def put(self, caller: str, stored: StoredResponse) -> None:
        """See :class:`ResponseStore`, as for all that follow. What is too large by itself is not kept."""
        now = self._now_ms()

        def work(connection: Connection) -> None:
            _drop(connection, caller, [stored.id])
            if stored.size > self._most_bytes:
                return
            row = {"caller": caller, "created_ms": now, **msgspec.structs.asdict(stored)}
            connection.execute(insert(responses), row)
            self._trim(connection, caller)

        self._database.post(work)

    async def get(self, caller: str, response: str) -> StoredResponse | None:
        asked = _WHOLE.where(responses.c.caller == caller, responses.c.id == response)
        row = await self._database.read(lambda connection: connection.execute(asked).first())
        return StoredResponse(*row) if row is not None and row.response != _DELETED else None

    async def holding(self, caller: str, words: bytes) -> StoredResponse | None:
        asked = _WHOLE.where(responses.c.caller == caller).order_by(responses.c.created_ms.desc())

        def work(connection: Connection) -> StoredResponse | None:
            rows = (StoredResponse(*row) for row in connection.execute(asked))
            return next((each for each in rows if words in each.response or words in each.input), None)

        return await self._database.read(work)

    async def delete(self, caller: str, response: str, *, streamed: bool = False) -> bool:
        kept = select(responses.c.response).where(responses.c.caller == caller, responses.c.id == response)
        mark = {"caller": caller, "id": response, "created_ms": self._now_ms()}

        def work(connection: Connection) -> bool:
            known = connection.scalar(kept) or _DELETED
            if known != _DELETED or streamed:
                _drop(connection, caller, [response])
                connection.execute(insert(responses), {**mark, "response": _DELETED, "input": _DELETED})
                self._trim(connection, caller)
            return known != _DELETED

        return await self._database.run(work)

    async def is_deleted(self, caller: str, response: str) -> bool:
        asked = select(responses.c.response).where(responses.c.caller == caller, responses.c.id == response)
        return await self._database.read(lambda connection: connection.scalar(asked)) == _DELETED

    def _trim(self, connection: Connection, caller: str) -> None:
        """Let go of the oldest beyond the bounds."""
        newest = (
            select(responses.c.id, _SIZE)
            .where(responses.c.caller == caller)
            .order_by(responses.c.created_ms.desc(), responses.c.id.desc())
        )
        total, surplus = 0, list[str]()
        for number, (name, size) in enumerate(connection.execute(newest), 1):
            total += size
            if number > self._most or total > self._most_bytes:
                surplus.append(name)
        if surplus:
            _drop(connection, caller, surplus)


def _drop(connection: Connection, caller: str, names: list[str]) -> int:
    mine = (responses.c.caller == caller) & responses.c.id.in_(names)
    return connection.execute(delete(responses).where(mine)).rowcount
