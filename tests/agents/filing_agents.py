"""Agents that make files: put into the folder of agents of gateways that are tested."""

from __future__ import annotations

from collections.abc import AsyncIterator

from tidegate.agents import AgentRequest, Context, agent


@agent("files-one")
async def files_one(request: AgentRequest, context: Context) -> AsyncIterator[str]:
    """Saves what it was told under the name that it was told."""
    yield "Here it is. "
    data = request.option("data", "What was made.")
    saved = await context.file(request.text, data, request.option("media_type"))
    yield f"{saved.size} bytes."


@agent("files-and-asks")
async def files_and_asks(request: AgentRequest, context: Context) -> AsyncIterator[str]:
    """Makes another file at each run, and asks in between."""
    await context.file("first.bin", f"{context.again}".encode())
    await context.input("Go on?")
    await context.file("second.txt", "second")
    yield "Both are there."


@agent("files-large")
async def files_large(request: AgentRequest, context: Context) -> AsyncIterator[str]:
    """Saves what takes long to write."""
    await context.file("large.bin", b"x" * (48 << 20))
    yield "Done."
