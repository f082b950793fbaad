"""Fetches what a link leads to, and never anything from within the gateway's own network.

The host is looked up once, what it is found at is judged, and exactly that is connected to: a name that
means another machine a moment later leads nowhere else. Redirects are followed here, each judged alike.
"""

from __future__ import annotations

import asyncio
import functools
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

from msgspec import Struct

from tidegate import __version__
from tidegate.errors import InvalidRequest, SourceError, TidegateError, Unreachable, Unreadable
from tidegate.net.address import Address
from tidegate.net.connection import Connection, ResponseHead
from tidegate.workspaces.addresses import Allowed, may_reach

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host, in digits, for a port. Raises OSError."""

_PARAM: Final = "link"
_LONGEST_URL: Final = 8192
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_ODD: Final = re.compile(r"[\x00-\x20\x7f\\]")
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VALUE: Final = re.compile(r"[\t\x20-\x7e\xa0-\xff]*")
_KEPT: Final = "%/:?#[]@!$&'()*+,;=~-._"

_OURS: Final = frozenset(
    {"host", "connection", "content-length", "transfer-encoding", "te", "trailer", "upgrade"}
    | {"keep-alive", "expect", "accept-encoding"}
)
"""Headers that belong to the connection; a caller has no say in them."""

_ENCODINGS: Final = frozenset({"", "identity", "gzip", "x-gzip", "deflate"})


class Fetched(Struct, frozen=True):
    """What a link led to. ``media_type`` is the Content-Type as it was sent, with its parameters."""

    data: bytes
    media_type: str
    final_url: str

    @property
    def file_name(self) -> str:
        """The last part of the address's path, or its host."""
        parts = urlsplit(self.final_url)
        return unquote(parts.path.rstrip("/").rpartition("/")[2]) or parts.hostname or ""


class Bounds(Struct, frozen=True, kw_only=True):
    """What a link may cost: ``size`` in bytes when unpacked, ``seconds`` for all of it, and ``redirects``."""

    size: int = 32 << 20
    seconds: float = 30.0
    redirects: int = 5


async def resolve_host(host: str, port: int) -> Sequence[str]:
    """Ask the system. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


async def fetch_page(
    url: str,
    headers: Mapping[str, str] | None = None,
    *,
    allow_private: Allowed = False,
    bounds: Bounds | None = None,
    resolve: Resolve = resolve_host,
    tls: ssl.SSLContext | None = None,
) -> Fetched:
    """What ``url`` leads to, as far as the Internet goes, or as far as ``allow_private`` lets it.

    ``headers`` are the caller's and go to the origin of ``url`` only, not to where it redirects. Raises
    InvalidRequest for a link that is not followed and Unreadable for one that leads to nothing.
    """
    bounds = bounds or Bounds()
    own = _judged_headers(headers or {})
    try:
        async with asyncio.timeout(bounds.seconds):
            return await _follow(url, own, allow_private, bounds, resolve, tls)
    except TimeoutError:
        seconds = bounds.seconds
        raise _unavailable(
            f"{_shown(url)} did not answer in full within {seconds:g} s: try it later"
        ) from None


async def _follow(
    url: str,
    headers: dict[str, str],
    allowed: Allowed,
    bounds: Bounds,
    resolve: Resolve,
    tls: ssl.SSLContext | None,
) -> Fetched:
    first = _address(_judged_url(url))
    for _ in range(bounds.redirects + 1):
        parts = _judged_url(url)
        same = _address(parts) == first
        answer = _Answer(url, bounds.size)
        connection = await _connect(parts, allowed, resolve, tls)
        try:
            connection.send(_request(parts, headers if same else {}), answer)
            head, data = await answer.done
        except SourceError as error:
            raise _unavailable(f"{_shown(url)} could not be read: {error.message}") from None
        finally:
            connection.abort()
        place = head.headers.get(b"location")
        if head.status in _REDIRECTS and place is not None:
            url = urljoin(url, place.decode("utf-8", "replace").replace(" ", "%20"))
            continue
        if not 200 <= head.status < 300:
            raise _unavailable(f"{_shown(url)} answered with status {head.status}: check the link")
        if not data:
            raise Unreadable(f"{_shown(url)} answered with nothing", code="empty", param=_PARAM)
        return Fetched(data, head.headers.get(b"content-type", b"").decode("latin-1").strip(), url)
    raise _unavailable(
        f"the link redirects more than {bounds.redirects} times: use the address it should end at"
    )


async def _connect(
    parts: SplitResult, allowed: Allowed, resolve: Resolve, tls: ssl.SSLContext | None
) -> Connection:
    """A connection to an address that was judged: no name is looked up on the way."""
    address = _address(parts)
    try:
        found = await resolve(address.host, address.port)
    except (OSError, UnicodeError):
        found = []
    if not found:
        raise _unavailable(f"no host {address.host} is known: check the link")
    if not all(may_reach(address.host, each, allowed) for each in found):
        raise InvalidRequest(
            f"{address} is not on the public Internet, and links into private networks are not followed",
            param=_PARAM,
            code="private_address",
        )
    context = None
    if address.tls:
        context = tls or await asyncio.to_thread(_tls_context)
    error: Exception | None = None
    for each in found:
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: Connection(str(address)),
                each,
                address.port,
                ssl=context,
                server_hostname=address.host if context is not None else None,
            )
        except ssl.SSLCertVerificationError as raised:
            error = Unreachable(f"its certificate is not valid ({raised.verify_message})")
        except OSError as raised:
            error = raised
        else:
            return connection
    reason = error.message if isinstance(error, TidegateError) else "it does not accept connections"
    raise _unavailable(f"{address} cannot be reached: {reason}")


@functools.cache
def _tls_context() -> ssl.SSLContext:
    return ssl.create_default_context()


def _judged_url(url: str) -> SplitResult:
    """The parts of a link that may be followed, as far as its text tells. Raises InvalidRequest."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _bad(f"{_shown(url)} is not an address: write it like https://example.com/page") from None
    if len(url) > _LONGEST_URL:
        raise _bad(f"the link is longer than {_LONGEST_URL} characters")
    if parts.scheme not in {"http", "https"}:
        raise _bad(f"{_shown(url)} is not a link of http or https: only those are followed")
    if not parts.hostname or _ODD.search(url) or port == 0:
        raise _bad(f"{_shown(url)} is not an address: write it like https://example.com/page")
    if parts.username is not None:
        raise _bad("the link has a user name in it: send what it is for as a header instead")
    return parts


def _judged_headers(headers: Mapping[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name) or not isinstance(value, str) or not _VALUE.fullmatch(value):
            raise InvalidRequest(f"{name[:100]!r} is not a header that can be sent", param="scraperHeaders")
        if name.lower() in _OURS or name.lower().startswith("proxy-"):
            raise InvalidRequest(f"the header {name} cannot be set", param="scraperHeaders")
    return {name.lower(): value for name, value in headers.items()}


def _address(parts: SplitResult) -> Address:
    tls = parts.scheme == "https"
    host = parts.hostname or ""
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError:
            raise _bad(f"{_shown(host)} is not the name of a host") from None
    return Address(host.rstrip("."), parts.port or (443 if tls else 80), tls)


def _request(parts: SplitResult, headers: Mapping[str, str]) -> bytes:
    target = quote(parts.path or "/", safe=_KEPT) + (
        f"?{quote(parts.query, safe=_KEPT)}" if parts.query else ""
    )
    fields = {
        "host": _address(parts).host_header,
        "user-agent": f"Tidegate/{__version__}",
        "accept": "text/html,application/xhtml+xml,application/pdf;q=0.9,*/*;q=0.8",
        **headers,
        "accept-encoding": "gzip",
        "connection": "close",
    }
    lines = [f"GET {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def _bad(message: str) -> InvalidRequest:
    return InvalidRequest(message, param=_PARAM)


def _unavailable(message: str) -> Unreadable:
    return Unreadable(message, code="unavailable", param=_PARAM)


def _shown(url: str) -> str:
    """A link as a sentence can hold it, without what may be secret in it."""
    shown = "".join(each for each in url.partition("?")[0].partition("#")[0] if each.isprintable())
    return shown if len(shown) <= 200 else f"{shown[:200]}…"


class _Answer:
    """Collects a response up to a size. Implements :class:`tidegate.net.connection.Receiver`."""

    def __init__(self, url: str, most: int) -> None:
        loop = asyncio.get_running_loop()
        self.done: asyncio.Future[tuple[ResponseHead, bytes]] = loop.create_future()
        self._url = url
        self._most = most
        self._head: ResponseHead | None = None
        self._parts: list[bytes] = []
        self._size = 0

    def head(self, head: ResponseHead) -> None:
        self._head = head
        if not 200 <= head.status < 300:
            self._finish()  # what else it says is of no use
            return
        if head.headers.get(b"content-encoding", b"").strip().lower().decode("latin-1") not in _ENCODINGS:
            self.failed(_unavailable(f"{_shown(self._url)} answers in an encoding that was not asked for"))
        length = head.headers.get(b"content-length", b"")
        if length.isdigit() and int(length) > self._most:
            self.failed(self._too_large())

    def data(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._most:
            raise self._too_large()
        if not self.done.done():
            self._parts.append(data)

    def complete(self) -> None:
        self._finish()

    def failed(self, error: TidegateError) -> None:
        if not self.done.done():
            self.done.set_exception(error)

    def _finish(self) -> None:
        if not self.done.done() and self._head is not None:
            self.done.set_result((self._head, b"".join(self._parts)))

    def _too_large(self) -> Unreadable:
        most = self._most / (1 << 20)
        return Unreadable(
            f"{_shown(self._url)} is larger than the {most:g} MiB that are fetched",
            code="too_large",
            param=_PARAM,
        )
