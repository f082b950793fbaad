"""Where an upstream listens: a host and port, with or without TLS, or a Unix socket."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from tidegate.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Address:
    """One place to connect to. Connections are pooled by it."""

    host: str = ""
    port: int = 0
    tls: bool = False
    socket_path: str | None = None

    @property
    def host_header(self) -> str:
        """The value of the Host header."""
        if self.socket_path is not None:
            return "localhost"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"

    def __str__(self) -> str:
        return self.socket_path or f"{'https' if self.tls else 'http'}://{self.host_header}"


def split_url(url: str) -> tuple[Address, str]:
    """A base URL's address and path, the path without a trailing slash."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        raise ConfigError(f"{url!r} has a port that is not a number from 1 to 65535") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"{url!r} is not an address; write it like http://127.0.0.1:8000/v1")
    tls = parts.scheme == "https"
    return Address(parts.hostname, port or (443 if tls else 80), tls), parts.path.rstrip("/")
