"""Tools of MCP servers, with the official SDK: programs that are started at their first use, or addresses.

(https://modelcontextprotocol.io/specification) What a server says of its tools is text for the model. A
program gets a few harmless variables of the environment and those that the settings give it, nothing else.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from json import dumps
from typing import TYPE_CHECKING, Any, Final

from tidegate.agents.agent import AgentError
from tidegate.agents.tool import AgentTool, ToolError
from tidegate.config import McpServer

if TYPE_CHECKING:
    from mcp import Client

logger = logging.getLogger("tidegate")

_START_SECONDS: Final = 30.0
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0
_LONGEST_NAME: Final = 64
_MOST_TOOLS: Final = 500
_UNFIT: Final = re.compile(r"[^A-Za-z0-9_-]")


class McpServers:
    """The servers of the settings, by name. :meth:`apply` replaces those that have changed."""

    def __init__(self) -> None:
        self._servers: dict[str, _Server] = {}

    async def apply(self, settings: Mapping[str, McpServer]) -> None:
        """Take settings; servers that are no longer wanted, or otherwise, are stopped."""
        gone = [name for name, each in self._servers.items() if settings.get(name) != each.settings]
        stopped = [self._servers.pop(name) for name in gone]
        for name, each in settings.items():
            self._servers.setdefault(name, _Server(each))
        await asyncio.gather(*(server.close() for server in stopped))

    async def tools(self, names: Iterable[str]) -> list[AgentTool]:
        """The tools of these servers. Raises AgentError for one that is not there or does not answer."""
        found: list[AgentTool] = []
        for name in names:
            server = self._servers.get(name)
            if server is None:
                known = ", ".join(self._servers) or "none is"
                raise AgentError(
                    f"there is no MCP server {name!r} in the settings; known: {known}", status=400
                )
            try:
                for tool in await server.tools():
                    taken = any(tool.name == each.name for each in found)
                    found.append(replace(tool, name=f"{name}-{tool.name}"[:_LONGEST_NAME]) if taken else tool)
            except ToolError as error:
                raise AgentError(str(error), status=503) from None
        return found

    async def close(self) -> None:
        """Stop all."""
        await self.apply({})


class _Server:
    """One server, connected to as long as it is used; after a failure the next use waits a little longer."""

    def __init__(self, settings: McpServer) -> None:
        self.settings = settings
        self._owner: asyncio.Task[None] | None = None
        self._client: asyncio.Future[Client] | None = None
        self._closing = asyncio.Event()
        self._failures = 0
        self._not_before = 0.0

    async def tools(self) -> list[AgentTool]:
        """Its tools, as far as they are allowed. Raises ToolError."""
        client = await self._connected()
        found: list[AgentTool] = []
        cursor: str | None = None
        try:
            async with asyncio.timeout(_START_SECONDS):
                while len(found) < _MOST_TOOLS:
                    page = await client.list_tools(cursor=cursor)
                    found += [self._tool(each) for each in page.tools if self._allows(each.name)]
                    cursor = page.next_cursor
                    if cursor is None:
                        break
        except Exception as error:
            raise self._lost(error) from None
        return found[:_MOST_TOOLS]

    async def close(self) -> None:
        """Stop it."""
        self._closing.set()
        if self._owner is not None:
            await asyncio.wait({self._owner}, timeout=5.0)
            self._owner.cancel()

    def _allows(self, name: str) -> bool:
        return self.settings.allow is None or name in self.settings.allow

    def _tool(self, described: Any) -> AgentTool:
        hints = described.annotations
        reads = bool(hints is not None and hints.read_only_hint)
        approve = self.settings.approve
        return AgentTool(
            _UNFIT.sub("_", described.name)[:_LONGEST_NAME],
            described.description or described.name,
            described.input_schema,
            partial(self._call, described.name),
            approval=approve == ("all",)
            or described.name in approve
            or (approve == ("changes",) and not reads),
            repeatable=reads or bool(hints is not None and hints.idempotent_hint),
            timeout=self.settings.timeout,
        )

    async def _call(self, name: str, arguments: Mapping[str, Any]) -> str:
        client = await self._connected()
        try:
            result = await client.call_tool(name, dict(arguments))
        except Exception as error:
            raise self._lost(error) from None
        text = "\n".join(_told(each) for each in result.content)
        if not text and result.structured_content is not None:
            text = dumps(result.structured_content, ensure_ascii=False)
        if result.is_error:
            raise ToolError(text or "the tool failed and did not say why")
        return text

    async def _connected(self) -> Client:
        """The client, once it is connected. Raises ToolError."""
        if self._client is None or (self._owner is not None and self._owner.done()):
            wait = self._not_before - time.monotonic()
            if wait > 0:
                raise ToolError(
                    f"the MCP server {self.settings.name} failed and is tried again in {wait:.0f} s"
                )
            self._client = asyncio.get_running_loop().create_future()
            # Whoever opens a connection of the SDK has to close it, so it has a task of its own.
            self._owner = asyncio.get_running_loop().create_task(self._own(self._client))
        try:
            async with asyncio.timeout(_START_SECONDS):
                return await asyncio.shield(self._client)
        except TimeoutError:
            raise self._lost(TimeoutError("it did not start in time")) from None

    async def _own(self, ready: asyncio.Future[Client]) -> None:
        try:
            async with AsyncExitStack() as opened:
                client = await opened.enter_async_context(await self._open(opened))
                ready.set_result(client)
                self._failures = 0
                await self._closing.wait()
        except Exception as error:  # of any kind: it is somebody else's program
            logger.warning("the MCP server %s failed: %s", self.settings.name, _reason(error))
            self._back_off()
            if not ready.done():
                ready.set_exception(ToolError(f"the MCP server {self.settings.name}: {_reason(error)}"))
                ready.exception()

    async def _open(self, opened: AsyncExitStack) -> Client:
        try:
            from mcp import Client, StdioServerParameters  # noqa: PLC0415 - an extra
            from mcp.client.streamable_http import streamable_http_client  # noqa: PLC0415
        except ImportError:
            raise ToolError("MCP needs an extra of the gateway: pip install 'tidegate[agents]'") from None
        settings = self.settings
        if settings.url is not None:
            import httpx2  # noqa: PLC0415 - comes with the extra

            headers = {name: value.reveal() for name, value in settings.headers.items()}
            http = await opened.enter_async_context(
                httpx2.AsyncClient(headers=headers, timeout=settings.timeout)
            )
            return Client(streamable_http_client(settings.url, http_client=http))
        parameters = StdioServerParameters(
            command=settings.command[0],
            args=list(settings.command[1:]),
            env={name: value.reveal() for name, value in settings.env.items()},
            cwd=settings.directory,
        )
        return Client(parameters)

    def _lost(self, error: Exception) -> ToolError:
        """The error to tell. A connection that is of no use any more is made anew the next time."""
        from mcp import MCPError  # noqa: PLC0415 - an extra
        from mcp_types import CONNECTION_CLOSED  # noqa: PLC0415

        if isinstance(error, MCPError) and error.code != CONNECTION_CLOSED:
            return ToolError(f"{self.settings.name}: {error}")
        if self._owner is not None:
            self._owner.cancel()
        self._client = None
        self._back_off()
        return ToolError(f"the MCP server {self.settings.name} broke off: {_reason(error)}")

    def _back_off(self) -> None:
        pause = min(_FIRST_PAUSE * 2**self._failures, _LONGEST_PAUSE)
        self._failures += 1
        self._not_before = time.monotonic() + pause


def _told(content: Any) -> str:
    """A part of a result as text; a picture is none."""
    text = getattr(content, "text", None)
    if isinstance(text, str):
        return text
    resource = getattr(content, "resource", None)
    inner = getattr(resource, "text", None)
    return inner if isinstance(inner, str) else f"[{content.type}, which cannot be shown as text]"


def _reason(error: BaseException) -> str:
    """What went wrong first: the SDK wraps it into groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error) or type(error).__name__
