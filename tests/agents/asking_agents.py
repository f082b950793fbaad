"""Agents that ask the person behind the stream: put into the folder of agents of gateways that are tested."""

from __future__ import annotations

from collections.abc import AsyncIterator

from msgspec import Struct

from tidegate.agents import AgentRequest, Context, InputExpired, agent


@agent("asks-name")
async def asks_name(request: AgentRequest, context: Context) -> AsyncIterator[str]:
    """Greets whoever says a name, after words that take long to write."""
    yield "Welcome. "
    name = await context.input("What is your name?", about={"field": "name"})
    yield f"Hello {name}."


@agent("asks-leave")
async def asks_leave(request: AgentRequest, context: Context) -> AsyncIterator[str]:
    """Does something if it may."""
    allowed = await context.input("May I?", kind="approval")
    yield "Done." if allowed else "Left alone."


class Trip(Struct):
    """What a traveller fills in."""

    town: str
    nights: int


@agent("asks-trip")
async def asks_trip(request: AgentRequest, context: Context) -> AsyncIterator[str]:
    """Books what was filled in."""
    trip = await context.input("Where to?", schema=Trip)
    yield f"{trip.nights} nights in {trip.town}."


@agent("asks-briefly")
async def asks_briefly(request: AgentRequest, context: Context) -> AsyncIterator[str]:
    """Goes on without an answer."""
    try:
        yield str(await context.input("Quick!", timeout=0.2))
    except InputExpired:
        yield "Too late. "
    yield str(await context.input("Once more?"))


@agent("asks-in-a-hurry", timeout=0.3)
async def asks_in_a_hurry(request: AgentRequest, context: Context) -> AsyncIterator[str]:
    """Has less time of its own than a person takes."""
    yield f"You said {await context.input('Well?')}."


@agent("asks-twice")
async def asks_twice(request: AgentRequest, context: Context) -> AsyncIterator[str]:
    """Asks one thing after the other."""
    first = await context.input("First?")
    second = await context.input("Second?")
    yield f"{first} and {second}."


@agent("asks-through", timeout=0.5)
async def asks_through(request: AgentRequest, context: Context) -> AsyncIterator[str]:
    """Asks an agent that asks a person."""
    yield await context.ask("asks-leave", "go")
