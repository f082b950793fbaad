"""One small request, for asking a server what it has or counts. Not for the data path."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from tidegate.errors import Broken, TidegateError, TimedOut
from tidegate.net.address import Address
from tidegate.net.connection import ResponseHead
from tidegate.net.pool import Pool

_LONGEST = 16 * 1024 * 1024


async def fetch(
    pool: Pool,
    address: Address,
    target: str,
    headers: Mapping[str, str],
    timeout: float,
    body: bytes | None = None,
) -> tuple[int, bytes]:
    """Status and body of ``GET target``, or of a POST of ``body``, within ``timeout`` seconds for everything.

    Raises SourceError.
    """
    method = "GET" if body is None else "POST"
    lines = [f"{method} {target} HTTP/1.1", f"host: {address.host_header}", "accept: application/json"]
    if body is not None:
        lines += ["content-type: application/json", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    request = "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")
    try:
        async with asyncio.timeout(timeout):
            connection = await pool.connect(address, timeout)
            answer = _Answer()
            try:
                connection.send(request, answer)
                return await answer.done
            finally:
                connection.abort()
    except TimeoutError:
        raise TimedOut(f"{address} did not answer within {timeout:g} s", code="connect") from None


class _Answer:
    """Collects a response. Implements :class:`tidegate.net.Receiver`."""

    def __init__(self) -> None:
        self.done: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
        self._status = 0
        self._body = bytearray()

    def head(self, head: ResponseHead) -> None:
        self._status = head.status

    def data(self, data: bytes) -> None:
        self._body += data
        if len(self._body) > _LONGEST:
            raise Broken(f"the answer is longer than {_LONGEST} bytes")

    def complete(self) -> None:
        if not self.done.done():
            self.done.set_result((self._status, bytes(self._body)))

    def failed(self, error: TidegateError) -> None:
        if not self.done.done():
            self.done.set_exception(error)
