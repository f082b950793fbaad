"""The life of a stream: what may follow what, in one table that every rendering of blocks is driven by.

Sources say only what is new; whatever they interleave, the steps that come out of here open and close
blocks properly, one after another, and end a stream once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from json import loads
from typing import Final, NamedTuple

import msgspec

from tidegate.core.event import AnyEvent, Delta, End, Finish, Item, Start, Text, Thinking, Tool


class State(Enum):
    """Where a choice stands."""

    BEFORE = "nothing has been said"
    BETWEEN = "no block is open"
    BLOCK = "a block is open"
    FINISHED = "the choice is complete"
    ENDED = "the stream is over"

    __hash__ = object.__hash__  # Enum's own is a call in Python, and these are looked up for every event


class Said(Enum):
    """What an event means to a choice."""

    START = "an answer is coming"
    SAME = "more of the open block"
    OTHER = "something of another block"
    ITEM = "an item outside of blocks"
    FINISH = "the choice is complete"
    COMPLETED = "the answer is complete"
    FAILED = "the answer broke off"

    __hash__ = object.__hash__


class Action(Enum):
    """What a rendering has to do."""

    START = "begin the answer"
    OPEN = "begin a block"
    DELTA = "add to a block"
    CLOSE = "end a block"
    ITEM = "tell an item that stands outside of blocks"
    FINISH = "say why the choice is complete"
    END = "end the stream"

    __hash__ = object.__hash__


_A = Action
TABLE: Final[Mapping[State, Mapping[Said, tuple[Action, ...]]]] = {
    State.BEFORE: {
        Said.START: (_A.START,),
        Said.OTHER: (_A.START, _A.OPEN, _A.DELTA),
        Said.ITEM: (_A.START, _A.ITEM),
        Said.FINISH: (_A.START, _A.FINISH),
        Said.COMPLETED: (_A.START, _A.FINISH, _A.END),
        Said.FAILED: (_A.END,),
    },
    State.BETWEEN: {
        Said.OTHER: (_A.OPEN, _A.DELTA),
        Said.ITEM: (_A.ITEM,),
        Said.FINISH: (_A.FINISH,),
        Said.COMPLETED: (_A.FINISH, _A.END),
        Said.FAILED: (_A.END,),
    },
    State.BLOCK: {
        Said.SAME: (_A.DELTA,),
        Said.OTHER: (_A.CLOSE, _A.OPEN, _A.DELTA),
        Said.ITEM: (_A.ITEM,),
        Said.FINISH: (_A.CLOSE, _A.FINISH),
        Said.COMPLETED: (_A.CLOSE, _A.FINISH, _A.END),
        # What broke off is not closed: a block that was cut must not look complete.
        Said.FAILED: (_A.END,),
    },
    State.FINISHED: {
        Said.ITEM: (_A.ITEM,),
        Said.COMPLETED: (_A.END,),
        Said.FAILED: (_A.END,),
    },
    State.ENDED: {},
}
"""What is not listed is not to be rendered."""

_AFTER: Final = {
    _A.START: State.BETWEEN,
    _A.OPEN: State.BLOCK,
    _A.CLOSE: State.BETWEEN,
    _A.FINISH: State.FINISHED,
    _A.END: State.ENDED,
}


@dataclass(slots=True, eq=False)
class Block:
    """A block that a rendering has opened. ``number`` is the source's, ``index`` counts those opened."""

    kind: type[Text] | type[Thinking] | type[Tool] | type[Item]
    number: int
    index: int
    opening: Delta
    """Its first event: a call's id and name, an unknown block's kind."""
    arguments: list[str] = field(default_factory=list)
    """Of a tool call, so far."""

    def complete(self) -> bool:
        """Whether nothing can be missing: the arguments of a call are one JSON value."""
        if self.kind is not Tool or (isinstance(self.opening, Tool) and self.opening.custom):
            return True
        try:
            loads("".join(self.arguments))
        except ValueError:
            return False
        return True


class Step(NamedTuple):
    """Something to render. ``block`` is the one that it is about, if any."""

    action: Action
    event: AnyEvent
    block: Block | None


class Lifecycle:
    """Turns the events of one choice of a stream into steps: ``choice``, where there are several.

    ``item_kinds`` are the kinds of items that the rendering shows as blocks of their own; other such items
    open nothing. Blocks come one after another: while a tool call's arguments are not complete its block
    stays open, and what comes for other blocks meanwhile is held back until they are, or the choice is.
    """

    __slots__ = ("_called", "_choice", "_held", "_item_kinds", "_next_index", "_state", "block")

    def __init__(self, item_kinds: frozenset[str] = frozenset(), choice: int = 0) -> None:
        self.block: Block | None = None
        """The open block: a delta of it needs no more than to be written."""
        self._state = State.BEFORE
        self._next_index = 0
        self._item_kinds = item_kinds
        self._choice = choice
        self._held: list[Delta] = []
        self._called = False

    def steps(self, events: Sequence[AnyEvent]) -> Iterator[Step]:
        """What is to be rendered for further events, in order."""
        for event in events:
            yield from self._event(event)

    def continues(self, event: AnyEvent) -> bool:
        """Whether an event adds to the open block and changes nothing else."""
        block = self.block
        return (
            block is not None
            and type(event) is block.kind
            and event.block == block.number
            and event.choice == 0
            and not self._held
        )

    def _event(self, event: AnyEvent) -> Iterator[Step]:
        if isinstance(event, (Text, Thinking, Tool, Item)):
            if event.choice == self._choice:  # most dialects of blocks have the first only
                yield from self._delta(event)
        elif isinstance(event, Start):
            yield from self._take(Said.START, event)
        elif isinstance(event, Finish):
            if event.choice == self._choice:
                yield from self._release(forced=True)
                yield from self._take(Said.FINISH, self._reason(event))
        elif event.outcome == "completed":
            yield from self._release(forced=True)
            yield from self._take(Said.COMPLETED, event)
        else:
            self._held.clear()
            yield from self._take(Said.FAILED, event)

    def _delta(self, event: Delta) -> Iterator[Step]:
        if isinstance(event, Item):
            if event.block is None:
                yield from self._take(Said.ITEM, event)
                return
            if event.kind not in self._item_kinds:
                return
        block = self.block
        if block is not None and type(event) is block.kind and event.block == block.number:
            yield from self._take(Said.SAME, event)
            yield from self._release(forced=False)
        elif self._held or (block is not None and not block.complete()):
            self._held.append(event)
        else:
            yield from self._take(Said.OTHER, event)

    def _release(self, *, forced: bool) -> Iterator[Step]:
        """Go on with what was held back, block by block in the order in which they began."""
        while self._held and (forced or self.block is None or self.block.complete()):
            number = self._held[0].block
            mine = [event for event in self._held if event.block == number]
            self._held = [event for event in self._held if event.block != number]
            for event in mine:
                same = self.block is not None and self.block.number == number
                yield from self._take(Said.SAME if same else Said.OTHER, event)

    def _take(self, said: Said, event: AnyEvent) -> Iterator[Step]:
        for action in TABLE[self._state].get(said, ()):
            told = event
            if action is Action.OPEN:
                self._open(event)
            elif action is Action.DELTA and isinstance(event, Tool) and self.block is not None:
                self.block.arguments.append(event.arguments)
            elif action is Action.FINISH and not isinstance(event, Finish):
                told = self._reason(Finish(reason="stop", choice=self._choice))
            self._state = _AFTER.get(action, self._state)
            yield Step(action, told, self.block)
            if action is Action.CLOSE:
                self.block = None

    def _open(self, event: AnyEvent) -> None:
        assert isinstance(event, (Text, Thinking, Tool, Item))
        assert event.block is not None
        self._called = self._called or isinstance(event, Tool)
        self.block = Block(type(event), event.block, self._next_index, event)
        self._next_index += 1

    def _reason(self, finish: Finish) -> Finish:
        """Some upstreams end a turn of calls with ``stop``; what was cut off is never made to look whole."""
        if finish.reason == "stop" and finish.stop is None and self._called:
            return msgspec.structs.replace(finish, reason="tool_calls")
        return finish


class SideBySide:
    """The same table for renderings whose blocks may alternate: nothing is held back, and no reason changed.

    Keeps where every choice stands, and nothing of what it said.
    """

    __slots__ = ("_states",)

    def __init__(self) -> None:
        self._states: dict[int, State] = {}

    def actions(self, event: AnyEvent) -> Sequence[tuple[Action, int]]:
        """What is to be rendered for an event, each with its choice; an end of the stream is told once."""
        kind = type(event)  # no isinstance(): it asks the metaclass of the library that events are made with
        if kind is End:
            failed = event.outcome != "completed" or event.error is not None  # type: ignore[union-attr]
            return self._end(Said.FAILED if failed else Said.COMPLETED)
        if kind is Start:
            return [(action, 0) for action in self._take(0, Said.START)]
        choice: int = event.choice  # type: ignore[union-attr]
        if kind is Finish:
            said = Said.FINISH
        elif kind is Item:
            said = Said.ITEM
        else:
            said = Said.SAME if self._states.get(choice) is State.BLOCK else Said.OTHER
        return [(action, choice) for action in self._take(choice, said)]

    def _end(self, said: Said) -> Sequence[tuple[Action, int]]:
        told = [
            (action, choice) for choice in sorted(self._states) or (0,) for action in self._take(choice, said)
        ]
        ended = [each for each in told if each[0] is Action.END]
        return [*(each for each in told if each[0] is not Action.END), *ended[:1]]

    def _take(self, choice: int, said: Said) -> tuple[Action, ...]:
        state = self._states.get(choice, State.BEFORE)
        actions = TABLE[state].get(said, ())
        for action in actions:
            state = _AFTER.get(action, state)
        self._states[choice] = state
        return actions


__all__ = ["TABLE", "Action", "Block", "Lifecycle", "Said", "SideBySide", "State", "Step"]
