"""Two processes ask each other things over one socket, and notice when the other one has gone."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tests.loops import on_both_loops
from tidegate.server.workers import Channel, ChannelClosed

Answers = dict[str, Callable[[Any], Awaitable[Any]]]


async def nothing(_: Any) -> None:
    await asyncio.Event().wait()


async def twice(value: Any) -> Any:
    return 2 * value


@contextlib.asynccontextmanager
async def ends(ours: Answers, theirs: Answers) -> AsyncIterator[tuple[Channel, Channel]]:
    left, right = socket.socketpair()
    channels = await Channel.over(left, ours), await Channel.over(right, theirs)
    listening = [asyncio.ensure_future(each.listen()) for each in channels]
    try:
        yield channels
    finally:
        for each in listening:
            each.cancel()
        await asyncio.gather(*listening, return_exceptions=True)
        await asyncio.sleep(0)


@on_both_loops
async def test_each_side_asks_the_other() -> None:
    async with ends({"twice": twice}, {"twice": twice}) as (ours, theirs):
        asked = ours.ask("twice", 2), theirs.ask("twice", "ab"), ours.ask("twice", 4)
        assert list(await asyncio.gather(*asked)) == [4, "abab", 8]


@on_both_loops
async def test_a_slow_answer_holds_up_no_other() -> None:
    async with ends({}, {"never": nothing, "twice": twice}) as (ours, _):
        slow = asyncio.ensure_future(ours.ask("never"))
        assert await ours.ask("twice", 1) == 2
        slow.cancel()
        assert await ours.ask("twice", 2) == 4


@on_both_loops
async def test_megabytes_are_one_answer() -> None:
    async with ends({}, {"twice": twice}) as (ours, _):
        assert await ours.ask("twice", "x" * 5_000_000) == "x" * 10_000_000


@on_both_loops
async def test_whoever_waits_is_told_that_the_other_side_has_gone() -> None:
    async with ends({}, {"never": nothing}) as (ours, theirs):
        waiting = asyncio.ensure_future(ours.ask("never"))
        await asyncio.sleep(0)
        theirs.close()
        with pytest.raises(ChannelClosed):
            await waiting
        with pytest.raises(ChannelClosed):
            await ours.ask("never")
