"""Owns reading the MCP servers: programs and addresses whose tools agents may use."""

from __future__ import annotations

from pathlib import Path

from tidegate.config.document import Section, Value
from tidegate.config.providers import read_secrets
from tidegate.config.settings import McpServer
from tidegate.config.values import parse_argument, parse_base_url, parse_duration, parse_provider_name, ranged


def read_mcp(section: Section, folder: Path) -> dict[str, McpServer]:
    """Return the servers by name, in the order of the file; a relative ``directory`` begins at ``folder``."""
    servers = {}
    for name, value in section.entries():
        try:
            parse_provider_name(name)
        except ValueError as error:
            value.complain(str(error))
        inner = value.section()
        if inner is not None:
            servers[name] = _read_server(name, value, inner, folder)
    return servers


def _read_server(name: str, value: Value, section: Section, folder: Path) -> McpServer:
    command, url = section.get("command"), section.get("url")
    if (command is None) == (url is None):
        value.complain("needs either command or url, such as command: [uvx, mcp-server-fetch]")
    if command is None:
        for other in ("env", "directory"):
            if (given := section.get(other)) is not None:
                given.complain("belongs to a server with command; remove it")
    if url is None and (given := section.get("headers")) is not None:
        given.complain("belongs to a server with url; remove it")
    directory = section.optional("directory", parse_argument)
    approve = section.get("approve")
    words = section.listed("approve", parse_argument)
    if approve is not None and approve.is_scalar and words and words[0] not in ("changes", "all", "none"):
        approve.complain("must be changes, all, none or a list of tools")
    allow = section.listed("allow", parse_argument)
    server = McpServer(
        name=name,
        command=tuple(section.listed("command", parse_argument) or ()),
        env=read_secrets(section.section("env"), headers=False),
        directory=folder / directory if directory else None,
        url=section.optional("url", parse_base_url),
        headers=read_secrets(section.section("headers"), headers=True),
        allow=None if allow is None else tuple(allow),
        approve=tuple(words) if words is not None else ("changes",),
        timeout=section.parsed(
            "timeout", ranged(parse_duration, 0.1, 3600.0, "a duration from 100ms to 1h"), 60.0
        ),
    )
    section.close()
    return server
