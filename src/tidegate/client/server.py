"""Owns where a gateway is and how it is asked: its address, its key, the requests of this client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlsplit

import msgspec

from tidegate import __version__
from tidegate.client.pursuit import Ask
from tidegate.errors import ConfigError

DIALECT: Final = "openai-chat"
STREAMS: Final = "/v1/streams"
EXAMPLE: Final = "http://127.0.0.1:7860"


@dataclass(frozen=True, slots=True)
class Server:
    """Where a gateway listens, without ``/v1``, and the key that it is sent."""

    url: str
    key: str | None = None

    def target(self, path: str) -> str:
        """What to ask for in a request line: the path below this server's own."""
        return urlsplit(self.url).path + path

    def headers(self) -> dict[str, str]:
        """The headers of every request."""
        headers = {"User-Agent": f"tidegate/{__version__}", "Accept": "application/json, text/event-stream"}
        if self.key is not None:
            headers["Authorization"] = f"Bearer {self.key}"
        return headers

    def stream_headers(self) -> dict[str, str]:
        """The headers of requests that are answered with the frames of a stream."""
        return {**self.headers(), "Accept": "text/event-stream", "Tidegate-Event-Ids": "1"}


def named_server(url: str, key: str | None) -> Server:
    """The server at an address as people write it: with ``/v1`` or without. Raises ConfigError."""
    if key is not None and not (key.isascii() and key.isprintable() and " " not in key):
        raise ConfigError("the key must be visible ASCII characters")
    return Server(normalised(url.strip()), key)


def normalised(address: str) -> str:
    """The address without what people copy along with it: a slash at the end, ``/v1``. Raises ConfigError."""
    url = address if "://" in address else f"http://{address}"
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is no number, brackets that do not match
        usable = False
    if not usable or not url.isascii() or not url.isprintable() or " " in url:
        raise ConfigError(f"{address!r} is no address of a gateway; write it like {EXAMPLE}")
    path = parts.path.rstrip("/").removesuffix("/v1").rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{path}"


def question(server: Server, fields: Mapping[str, Any], key: str) -> Ask:
    """The request for an answer. ``fields`` are those of a chat completion; ``messages`` may be one text."""
    asked = {name: value for name, value in fields.items() if value is not None}
    if isinstance(asked.get("messages"), str):
        asked["messages"] = [{"role": "user", "content": asked["messages"]}]
    usage = {**(asked.get("stream_options") or {}), "include_usage": True}
    body = msgspec.json.encode({**asked, "stream": True, "stream_options": usage})
    headers = {**server.stream_headers(), "Content-Type": "application/json", "Idempotency-Key": key}
    return Ask("POST", server.target("/v1/chat/completions"), headers, body)


def about_stream(server: Server, method: str, stream_id: str) -> Ask:
    """The request that looks at a stream, or stops it."""
    headers = {**server.headers(), "Accept": "application/json"}
    return Ask(method, server.target(f"{STREAMS}/{quote(stream_id, safe='')}"), headers)


def about_streams(server: Server) -> Ask:
    """The request for the list of streams."""
    return Ask("GET", server.target(STREAMS), server.headers())


def answer_to(server: Server, stream_id: str, fields: Mapping[str, Any], question: str | None) -> Ask:
    """The request that answers what a stream asks for: ``question``, where it asks several things."""
    given = {name: value for name, value in (*fields.items(), ("id", question)) if value is not None}
    headers = {**server.headers(), "Accept": "application/json", "Content-Type": "application/json"}
    path = f"{STREAMS}/{quote(stream_id, safe='')}/input"
    return Ask("POST", server.target(path), headers, msgspec.json.encode(given))
