"""Owns running the steps of a pursuit: the two loops, one that blocks and one that awaits, for every library.

``do`` does one command and returns what came of it; it raises :class:`Lost` where the connection failed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator, Sequence
from typing import Any, TypeVar

from tidegate.client.pursuit import Command, Hand, Lost
from tidegate.client.splice import Piece

_Result = TypeVar("_Result")
Do = Callable[[Command], Any]
AsyncDo = Callable[[Command], Awaitable[Any]]


def run(steps: Generator[Command, Any, _Result], do: Do) -> _Result:
    """Do all of the steps; what they return."""
    try:
        command = next(steps)
        while True:
            try:
                done = do(command)
            except Lost as lost:
                command = steps.throw(lost)
            else:
                command = steps.send(done)
    except StopIteration as stop:
        result: _Result = stop.value
        return result


def pieces(steps: Generator[Command, Any, None], do: Do) -> Iterator[Sequence[Piece]]:
    """Do all of the steps; what they hand on comes out."""
    try:
        command = next(steps)
        while True:
            if isinstance(command, Hand):
                yield command.pieces
                command = next(steps)
                continue
            try:
                done = do(command)
            except Lost as lost:
                command = steps.throw(lost)
            else:
                command = steps.send(done)
    except StopIteration:
        return


async def run_async(steps: Generator[Command, Any, _Result], do: AsyncDo) -> _Result:
    """:func:`run` for those who await."""
    try:
        command = next(steps)
        while True:
            try:
                done = await do(command)
            except Lost as lost:
                command = steps.throw(lost)
            else:
                command = steps.send(done)
    except StopIteration as stop:
        result: _Result = stop.value
        return result


async def pieces_async(steps: Generator[Command, Any, None], do: AsyncDo) -> AsyncIterator[Sequence[Piece]]:
    """:func:`pieces` for those who await."""
    try:
        command = next(steps)
        while True:
            if isinstance(command, Hand):
                yield command.pieces
                command = next(steps)
                continue
            try:
                done = await do(command)
            except Lost as lost:
                command = steps.throw(lost)
            else:
                command = steps.send(done)
    except StopIteration:
        return
