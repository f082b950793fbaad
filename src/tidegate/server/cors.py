"""Cross-origin requests from browsers (https://fetch.spec.whatwg.org/#http-cors-protocol)."""

from __future__ import annotations

from tidegate.access import loopback_origin

_ALLOWED_HEADERS = (
    b"Authorization, Content-Type, Accept, X-Api-Key, Api-Key, Anthropic-Version, Anthropic-Beta, "
    b"Idempotency-Key, Tidegate-On-Disconnect, Tidegate-On-Break, Tidegate-Fallback, Tidegate-Event-Ids, "
    b"Last-Event-ID, X-Request-Id, OpenAI-Organization, OpenAI-Project, OpenAI-Beta"
)
_EXPOSED_HEADERS = b"Tidegate-Stream, Tidegate-Dropped, X-Request-Id, Retry-After"


class Cors:
    """Which origins may call. ``*`` needs keys: while access is open, only loopback origins are allowed."""

    def __init__(self, origins: tuple[str, ...], *, open_access: bool) -> None:
        self._any = "*" in origins and not open_access
        self._open = open_access
        self._origins = frozenset(origin.encode("latin-1", "replace") for origin in origins)

    def allows(self, origin: bytes) -> bool:
        """Whether a page of this origin may call."""
        if self._open:
            return loopback_origin(origin)
        return self._any or origin in self._origins

    def headers(self, origin: bytes | None) -> bytes:
        """Header lines for a response to a request of this origin; none for one without or not allowed."""
        if origin is None or not self.allows(origin):
            return b""
        if self._any:
            return (
                b"access-control-allow-origin: *\r\naccess-control-expose-headers: %b\r\n" % _EXPOSED_HEADERS
            )
        return b"access-control-allow-origin: %b\r\nvary: Origin\r\naccess-control-expose-headers: %b\r\n" % (
            origin,
            _EXPOSED_HEADERS,
        )

    def preflight(self, origin: bytes, asked_headers: bytes | None) -> list[tuple[bytes, bytes]]:
        """The headers that answer a preflight. Headers beyond the list are allowed as they were asked for:
        the official SDKs send a dozen of their own (``x-stainless-…``), and a key guards what matters."""
        lines = self.headers(origin).decode("latin-1").split("\r\n")
        pairs = [line.partition(": ") for line in lines if line]
        allowed = _ALLOWED_HEADERS + (b", " + asked_headers if asked_headers else b"")
        return [
            *((name.encode("latin-1"), value.encode("latin-1")) for name, _, value in pairs),
            (b"access-control-allow-methods", b"GET, POST, DELETE, OPTIONS"),
            (b"access-control-allow-headers", allowed),
            (b"access-control-max-age", b"86400"),
        ]
