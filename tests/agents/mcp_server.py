"""A real MCP server with a few tools, over its standard input or over HTTP: `python mcp_server.py [port]`."""

from __future__ import annotations

import os
import sys

from mcp.server import MCPServer
from mcp_types import ToolAnnotations

server = MCPServer("tides")


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def tide(port: str, hours: int = 6) -> str:
    """The tide at a port."""
    return f"{port}: high water in {hours} hours"


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def environment() -> str:
    """The variables that the server was given."""
    return " ".join(sorted(f"{name}={value}" for name, value in os.environ.items()))


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def search(query: str) -> str:
    """Search for pages."""
    return f"https://example.com/{query.split(maxsplit=1)[0].lower()}: all about {query}"


@server.tool()
def open_gate(name: str) -> str:
    """Opens a gate."""
    return f"{name} is open"


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def crash() -> str:
    """Ends the server."""
    os._exit(3)


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def fail() -> str:
    """Fails."""
    raise ValueError("no water")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        server.run("streamable-http", port=int(sys.argv[1]))
    else:
        server.run("stdio")
