"""Keep-alive connections to upstreams, last in first out, one stack for each address."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field

from tidegate.errors import TimedOut, Unreachable
from tidegate.net.address import Address
from tidegate.net.connection import Connection

_IDLE_SECONDS = 50.0
"""Idle connections are closed after this long: most servers and proxies do so after 60 s."""

_MOST_IDLE = 1000

_TAIL_SECONDS = 1.0
"""A response whose answer is complete has this long to end its body, else its connection is closed."""


@dataclass(slots=True)
class _Stack:
    """Idle connections with the time that each was put back."""

    idle: list[tuple[float, Connection]] = field(default_factory=list)


class Pool:
    """Connects, keeps and hands out connections. Taking and giving back cost the same for any size."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._stacks: dict[Address, _Stack] = {}
        self._tls: ssl.SSLContext | None = None
        self._sweeping: asyncio.TimerHandle | None = None
        self._closing = False

    def take(self, address: Address) -> Connection | None:
        """The connection that was used last, if one is idle."""
        stack = self._stacks.get(address)
        while stack is not None and stack.idle:
            _, connection = stack.idle.pop()
            if connection.idle:
                return connection
        return None

    async def connect(self, address: Address, timeout: float) -> Connection:
        """A new connection, within ``timeout`` seconds."""
        loop = asyncio.get_running_loop()
        name = str(address)
        try:
            async with asyncio.timeout(timeout):
                if address.socket_path is not None:
                    _, connection = await loop.create_unix_connection(
                        lambda: Connection(name), address.socket_path
                    )
                else:
                    _, connection = await loop.create_connection(
                        lambda: Connection(name),
                        address.host,
                        address.port,
                        ssl=self._tls_context() if address.tls else None,
                    )
        except TimeoutError:
            raise TimedOut(f"{name} did not accept a connection in {timeout:g} s", code="connect") from None
        except ssl.SSLCertVerificationError as error:
            raise Unreachable(f"{name} has a certificate that is not valid: {error.verify_message}") from None
        except OSError as error:
            # asyncio has words of its own where the system would say "Connection refused".
            number = error.errno or 0
            reason = os.strerror(number) if number > 0 else error.strerror or error
            raise Unreachable(f"cannot connect to {name}: {reason}") from None
        except UnicodeError:
            raise Unreachable(f"cannot connect to {name}: {address.host!r} is not a host name") from None
        return connection

    def release(self, address: Address, connection: Connection) -> None:
        """The exchange is over for its receiver: keep the connection once its response has ended."""
        connection.leave(lambda idle: self._keep(address, idle))
        if not connection.idle and not connection.closed:
            asyncio.get_running_loop().call_later(_TAIL_SECONDS, _abort_unless_idle, connection)

    def _keep(self, address: Address, connection: Connection) -> None:
        stack = self._stacks.setdefault(address, _Stack())
        if self._closing or not connection.idle or len(stack.idle) >= _MOST_IDLE:
            connection.abort()
            return
        stack.idle.append((self._monotonic(), connection))
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(_IDLE_SECONDS / 2, self._sweep)

    def close(self) -> None:
        """Close every idle connection and keep none from now on."""
        self._closing = True
        if self._sweeping is not None:
            self._sweeping.cancel()
        for stack in self._stacks.values():
            for _, connection in stack.idle:
                connection.abort()
            stack.idle.clear()

    def statistics(self) -> dict[str, int]:
        """Idle connections by address."""
        return {str(address): len(stack.idle) for address, stack in self._stacks.items()}

    def _tls_context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls

    def _sweep(self) -> None:
        self._sweeping = None
        oldest = self._monotonic() - _IDLE_SECONDS
        for address, stack in list(self._stacks.items()):
            keep = [entry for entry in stack.idle if entry[0] >= oldest and entry[1].idle]
            for since, connection in stack.idle:
                if since < oldest:
                    connection.abort()
            stack.idle = keep
            if not keep:
                del self._stacks[address]
        if self._stacks:
            self._sweeping = asyncio.get_running_loop().call_later(_IDLE_SECONDS / 2, self._sweep)


def _abort_unless_idle(connection: Connection) -> None:
    # Busy again by then means that its tail did end.
    if not connection.idle and connection.tail_pending:
        connection.abort()
