"""Owns a TCP proxy that loses connections: after any byte, at any moment, or by not being there for a while.

with CuttingProxy(gateway.address) as proxy:
    proxy.plan(Cut(700), Cut(0, "reset"))     # what becomes of the next connections, in order
    ...                                       # talk to proxy.url; later connections are whole
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

from tests.raw_http import Address

_AT_ONCE = struct.pack("ii", 1, 0)
"""SO_LINGER of no seconds: closing sends RST and drops what the kernel still holds."""


@dataclass(frozen=True, slots=True)
class Cut:
    """End a connection once ``after`` bytes have gone from the server to the client.

    ``close`` ends it with FIN, ``reset`` with RST, ``stall`` keeps it open and silent.
    """

    after: int
    how: Literal["close", "reset", "stall"] = "close"


class _Link:
    """One connection of a client, and ours to the server behind it."""

    def __init__(self, client: socket.socket, server: socket.socket, cut: Cut | None) -> None:
        self.client = client
        self.server = server
        self.cut = cut
        self.received = 0
        """Bytes that the client was sent."""
        self._gone = False
        self._under_way = 2
        """Directions in which bytes may still go."""
        self._lock = threading.Lock()

    def end(self, how: Literal["close", "reset", "stall"] = "close") -> None:
        with self._lock:
            if self._gone:
                return
            self._gone = True
        with contextlib.suppress(OSError):
            self.server.shutdown(socket.SHUT_RDWR)
        if how == "stall":
            return
        if how == "reset":
            with contextlib.suppress(OSError):
                self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
                self.client.shutdown(socket.SHUT_RD)  # a thread that reads would keep it open
                self.client.close()
            return
        with contextlib.suppress(OSError):
            self.client.shutdown(socket.SHUT_RDWR)

    def gone(self) -> None:
        """One of the two directions is over; with the second one nothing is left to keep open."""
        with self._lock:
            self._under_way -= 1
            if self._under_way:
                return
        self.client.close()
        self.server.close()

    def close(self) -> None:
        self.end()
        self.client.close()
        self.server.close()


class CuttingProxy:
    """Forwards bytes between clients and ``target``, and cuts as planned. Runs in threads of its own."""

    def __init__(self, target: Address) -> None:
        self.target = target
        self.links: list[_Link] = []
        """All connections so far, in the order that they came in."""
        self._plans: deque[Cut | None] = deque()
        self._listener = self._listening(0)
        self.address: Address = self._listener.getsockname()[:2]
        self._closing = False

    @property
    def url(self) -> str:
        return f"http://{self.address[0]}:{self.address[1]}"

    def plan(self, *cuts: Cut | None) -> None:
        """What becomes of the next connections, in the order that they come in; None leaves one whole."""
        self._plans.extend(cuts)

    def reset(self) -> None:
        """Forget plans and connections."""
        self._plans.clear()
        self.break_all()
        self.links = []

    def break_all(self, how: Literal["close", "reset", "stall"] = "reset") -> None:
        """Lose every connection that there is now."""
        for link in self.links:
            link.end(how)

    @contextlib.contextmanager
    def refusing(self) -> Iterator[None]:
        """Nobody listens here for as long as this lasts; connections that there are go on."""
        self._close_listener()
        try:
            yield
        finally:
            self._listener = self._listening(self.address[1])
            self._serve()

    def __enter__(self) -> Self:
        self._serve()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        self._close_listener()
        for link in self.links:
            link.close()

    def _listening(self, port: int) -> socket.socket:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(128)
        return listener

    def _close_listener(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._listener.close()

    def _serve(self) -> None:
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            cut = self._plans.popleft() if self._plans else None
            try:
                server = socket.create_connection(self.target)
            except OSError:
                client.close()  # as if the server had been met there: it is not up
                continue
            for each in (client, server):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link = _Link(client, server, cut)
            self.links.append(link)
            threading.Thread(target=self._upward, args=(link,), daemon=True).start()
            threading.Thread(target=self._downward, args=(link,), daemon=True).start()

    def _upward(self, link: _Link) -> None:
        try:
            while data := link.client.recv(65536):
                link.server.sendall(data)
        except OSError:
            pass
        link.end("close" if link.cut is None or link.cut.how != "stall" else "stall")
        link.gone()

    def _downward(self, link: _Link) -> None:
        how = link.cut.how if link.cut is not None else "close"
        try:
            link.end(how if self._cut_off(link) else "close")
        except OSError:
            link.end()
        link.gone()

    def _cut_off(self, link: _Link) -> bool:
        """Forward what the server says, up to where that is to be cut; False where it ended before."""
        cut = link.cut
        while data := link.server.recv(65536):
            if cut is not None:
                data = data[: cut.after - link.received]
            if data:
                link.received += len(data)
                link.client.sendall(data)
            if cut is not None and link.received >= cut.after:
                return True
        return False
