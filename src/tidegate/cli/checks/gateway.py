"""Looks at the gateway: whether one runs, and whether the port for one is free."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from tidegate import __version__
from tidegate.cli.checks.finding import Finding, counted
from tidegate.cli.checks.port_owner import owner_of_port
from tidegate.cli.connection import Server, find_server, get, get_json
from tidegate.cli.home import recorded_address
from tidegate.cli.models import fetch_listing
from tidegate.config import Config
from tidegate.errors import ConfigError, SourceError
from tidegate.server.process import bind

_SECONDS: Final = 2.0
_STATES: Final = frozenset({"ready", "starting", "shutting down"})


def check_gateway(config: Config, environ: Mapping[str, str]) -> Iterator[Finding]:
    """The gateway that runs, and the port that the next one would take."""
    recorded = recorded_address(environ)
    running: int | None = None
    if recorded is not None:
        server = find_server(recorded, None, environ)
        told = _state(server)
        yield from _running(server, told)
        running = urlsplit(recorded).port if told is not None else None
    if config.server.port not in (0, running):
        yield from _port(config, environ, recorded is not None)


def _state(server: Server) -> dict[str, Any] | None:
    """What ``/readyz`` says, when it is a gateway that says it."""
    try:
        _, body = get(server, "/readyz", _SECONDS)
        told = msgspec.json.decode(body)
    except (SourceError, msgspec.DecodeError, UnicodeDecodeError):
        return None
    return told if isinstance(told, dict) and told.get("status") in _STATES else None


def _running(server: Server, told: dict[str, Any] | None) -> Iterator[Finding]:
    if told is None:
        yield Finding(
            "warning", f"a gateway was started at {server.url} and does not answer there", "tidegate serve"
        )
        return
    version = _version(server)
    more = f", version {version}" if version is not None else ""
    if isinstance(workers := told.get("workers"), int):
        more += f", {counted(workers, 'worker')}"
    yield Finding("ok", f"a gateway is {told['status']} at {server.url}{more}: {_models(server)}")
    if version not in (None, __version__):
        yield Finding(
            "note", f"it is another version than this command, {__version__}; start it again to update it"
        )


def _models(server: Server) -> str:
    try:
        return counted(len(fetch_listing(server).models), "model")
    except SourceError as error:
        return (
            "its models can be seen with a key, in TIDEGATE_API_KEY" if error.status == 401 else error.message
        )


def _version(server: Server) -> str | None:
    try:
        document: Any = get_json(server, "/openapi.json", _SECONDS)
        version = document["info"]["version"]
    except (SourceError, KeyError, TypeError):
        return None
    return version if isinstance(version, str) else None


def _port(config: Config, environ: Mapping[str, str], runs: bool) -> Iterator[Finding]:
    host, port = config.server.host, config.server.port
    try:
        bind(host, port).close()
    except ConfigError as error:
        server = find_server(f"http://127.0.0.1:{port}", None, environ)
        told = _state(server)
        if told is not None:
            yield from _running(server, told)
            return
        what, _, remedy = error.message.partition("; try: ")
        owner = owner_of_port(port)
        yield Finding("problem", f"{what}{f', by {owner}' if owner else ''}", remedy or None)
        return
    yield Finding("ok", f"port {port} is free")
    if not runs:
        yield Finding("note", "no gateway is running", "tidegate serve")
