"""One POST whose answer is read by pulling. Knows nothing of what is said in either."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tidegate.errors import SourceError, Unreachable
from tidegate.net.address import Address
from tidegate.net.connection import Connection, ResponseHead
from tidegate.net.pool import Pool
from tidegate.net.pull import Pull

Refusal = Callable[[ResponseHead, bytes], SourceError]
"""The error in a response of a status other than 2xx, from its head and body."""

_LONGEST_REFUSAL = 64 * 1024


async def post(
    pool: Pool, address: Address, message: bytes, connect_timeout: float, refusal: Refusal
) -> Answer:
    """Send ``message``, head and body, and wait for the head of its answer. Raises SourceError."""
    connection = pool.take(address)
    while connection is not None:
        try:
            return await _exchange(pool, address, connection, message, refusal)
        except Unreachable:
            # The server closed an idle connection just as it was used again: no attempt was made.
            if connection.answered:
                raise
            connection = pool.take(address)
    connection = await pool.connect(address, connect_timeout)
    return await _exchange(pool, address, connection, message, refusal)


async def _exchange(
    pool: Pool, address: Address, connection: Connection, message: bytes, refusal: Refusal
) -> Answer:
    pull = Pull(connection)
    try:
        connection.send(message, pull)
        head = await pull.response()
        if 200 <= head.status < 300:
            return Answer(pool, address, connection, pull, head)
        error = refusal(head, await pull.read_whole(_LONGEST_REFUSAL) or b"")
    except BaseException:
        connection.abort()
        raise
    _let_go(pool, address, connection, pull)
    raise error


class Answer:
    """An answer of status 2xx. Implements :class:`tidegate.core.call.Reply`."""

    def __init__(
        self, pool: Pool, address: Address, connection: Connection, pull: Pull, head: ResponseHead
    ) -> None:
        self.status = head.status
        self.headers: Mapping[bytes, bytes] = head.headers
        self.read = pull.read
        self._pool = pool
        self._address = address
        self._connection = connection
        self._pull = pull

    def close(self) -> None:
        """Keep the connection, unless the answer was not read to its end."""
        _let_go(self._pool, self._address, self._connection, self._pull)


def _let_go(pool: Pool, address: Address, connection: Connection, pull: Pull) -> None:
    if pull.ended:
        pool.release(address, connection)
    else:
        connection.abort()
