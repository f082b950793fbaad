"""A remote server as its settings describe it, and the head of a request to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

from tidegate import __version__
from tidegate.config import Provider
from tidegate.core.clock import Clock
from tidegate.dialects import Dialect, load_dialect
from tidegate.net import Pool
from tidegate.net.address import Address, split_url


@dataclass(frozen=True, slots=True)
class Upstream:
    """A remote server: where it is, what it speaks, and what every request to it carries."""

    name: str
    address: Address
    dialect: Dialect
    quirks: frozenset[str]
    path: str
    """Of its base URL."""
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Names in lower case; its credential is among them, or in the query."""
    max_frame: int
    """Bytes of one event, and of an answer that is no stream."""
    pool: Pool
    clock: Clock
    settled: frozenset[str] = frozenset()
    """Names of headers that its settings give: a caller's header of that name is not passed on."""
    beside: Mapping[str, Dialect] = field(default_factory=dict)
    """Further dialects that it speaks, for callers of the same."""
    continues: str | None = None
    """How it goes on with the beginning of an answer, in a word of :data:`tidegate.config.CONTINUES`."""
    continues_path: str | None = None
    """In place of ``path`` where it is asked to go on."""


def upstream(provider: Provider, max_frame: int, pool: Pool, clock: Clock) -> Upstream:
    """The upstream that a provider's settings describe."""
    address, path = split_url(provider.base_url)
    dialect = load_dialect(provider.dialect)
    signed = {name.lower(): value for name, value in provider.signed_headers().items()}
    return Upstream(
        provider.name,
        address,
        dialect,
        provider.quirks,
        path,
        provider.signed_query(),
        {**dialect.headers, **signed},
        max_frame,
        pool,
        clock,
        frozenset(signed),
        beside(provider.dialect, provider.quirks),
        provider.continues,
        provider.continues_path,
    )


def beside(dialect: str, quirks: frozenset[str] = frozenset()) -> dict[str, Dialect]:
    """What a server of a dialect speaks besides: nearly all that speak Chat complete raw text as well."""
    if dialect != "openai-chat" or "no_completions" in quirks:
        return {}
    return {"openai-completions": load_dialect("openai-completions")}


def request_head(server: Upstream, target: str, more: Mapping[str, str] = {}) -> bytes:
    """The head of a POST below the upstream's base URL, without its last lines: those that differ."""
    if server.query:
        target += ("&" if "?" in target else "?") + urlencode(server.query)
    lines = {
        "host": server.address.host_header,
        "user-agent": f"tidegate/{__version__}",
        "accept": "text/event-stream, application/json",
        "accept-encoding": "identity",
        "content-type": "application/json",
        **server.headers,
        **more,
    }
    head = [f"POST {server.path}{target} HTTP/1.1", *(f"{name}: {value}" for name, value in lines.items())]
    return "\r\n".join([*head, ""]).encode("latin-1")
