"""Canonical events to the pieces of an answer, each of which is one chunk of a stream.

Gemini's parts have no beginnings and ends: a tool call is one part, so its arguments are held back until
they are complete; a signature stands on the part that it speaks for, so it is held back until that comes;
and how the answer ended stands beside the token counts, so it is held back until these are known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from tidegate.core.event import AnyEvent, End, Finish, Item, Start, Text, Thinking, Tool, seams_told
from tidegate.core.lifecycle import Action, Block, Lifecycle, Step
from tidegate.core.message import CallPart
from tidegate.core.usage import Usage
from tidegate.dialects.gemini.arguments import object_of_text
from tidegate.dialects.gemini.logprobs import write_logprobs
from tidegate.dialects.gemini.signatures import tag
from tidegate.dialects.gemini.words import NAME, write_reason
from tidegate.dialects.translation.citations import foreign_citation
from tidegate.dialects.translation.customs import arguments_of
from tidegate.dialects.translation.items import own_item

Fields = Mapping[str, Any]

NOTHING: Final[Fields] = {}
_BLOCKS: Final = frozenset({NAME})
_SHORT: Final = frozenset({"length", "max_tokens", "model_context_window_exceeded"})
"""Reasons of an answer that was cut, whose clients expect a call to be missing."""
_MALFORMED: Final = "malformed_function_call"


class Piece(NamedTuple):
    """One chunk: a part of a candidate, and the members around it. ``choice`` None has no candidate."""

    choice: int | None
    part: Fields | None = None
    candidate: Fields = NOTHING
    content: Fields = NOTHING
    chunk: Fields = NOTHING
    usage: Usage | None = None
    item: Fields | None = None
    """What is ours and has no form here."""


class Pieces:
    """Makes the pieces of one stream. ``model`` is the name that its upstream answered under, if any."""

    def __init__(self) -> None:
        self.model: str | None = None
        self._lives: dict[int, Lifecycle] = {}
        self._signatures: dict[int, str] = {}
        self._finishes: list[Finish] = []
        self._pages: dict[int, list[dict[str, Any]]] = {}
        """What each choice cites."""
        self._cut: set[int] = set()
        """Choices with a call that is not whole, which is not shown: its part would look like one that is."""

    def continues(self, event: Text | Thinking | Tool) -> bool:
        """Whether a delta needs no more than to be written behind the one before."""
        life = self._lives.get(event.choice)
        return life is not None and event.choice not in self._signatures and life.continues(event)

    def more_of_call(self, event: AnyEvent) -> bool:
        """Take more of the open call's arguments, if that is what a delta that continues is."""
        block = self._lives[0].block
        if type(event) is not Tool or block is None:
            return False
        block.arguments.append(event.arguments)
        return True

    def of(self, events: Sequence[AnyEvent]) -> Iterator[Piece]:
        """The pieces that further events complete. A stream that failed ends without any."""
        for event in events:
            if isinstance(event, Start):
                self.model = event.model
            elif isinstance(event, End):
                if event.outcome == "completed":
                    yield from self._end(event)
            elif isinstance(event, Item) and event.block is None:
                if event.kind == NAME:
                    yield Piece(None, chunk=event.value)
                elif (page := foreign_citation(event, NAME)) is not None:
                    self._pages.setdefault(event.choice, []).append(page)
                elif (told := own_item(event)) is not None:
                    yield Piece(event.choice, {"text": ""}, item=told)
            else:
                for step in self._life(event.choice).steps([event]):
                    yield from self._step(step, event.choice)

    def _life(self, choice: int) -> Lifecycle:
        life = self._lives.get(choice)
        if life is None:
            life = self._lives[choice] = Lifecycle(_BLOCKS, choice)
        return life

    def _step(self, step: Step, choice: int) -> Iterator[Piece]:
        event, block = step.event, step.block
        if step.action is Action.FINISH:
            assert isinstance(event, Finish)
            yield from self._unsaid(choice)
            if choice in self._cut and event.reason not in _SHORT:
                event = msgspec.structs.replace(event, reason=_MALFORMED)
            self._finishes.append(event)
        elif step.action is Action.CLOSE:
            if block is not None and isinstance(block.opening, Tool):
                if _whole(block, event):
                    yield self._call(block, block.opening)
                else:
                    self._cut.add(choice)
        elif step.action is Action.DELTA:
            if isinstance(event, Text):
                yield self._text(event)
            elif isinstance(event, Thinking):
                yield from self._thought(event, block)
            elif isinstance(event, Item):
                yield from self._unsaid(choice)
                yield _piece(event, event.value)

    def _text(self, event: Text) -> Piece:
        part: dict[str, Any] = {"text": event.text}
        piece = _piece(event, self._signed(part, event.choice))
        if event.logprobs is None or "logprobsResult" in piece.candidate:
            return piece
        logprobs = write_logprobs(event.logprobs)
        if logprobs is None:
            return piece
        return piece._replace(candidate={**piece.candidate, "logprobsResult": logprobs})

    def _thought(self, event: Thinking, block: Block | None) -> Iterator[Piece]:
        """Reasoning; a signature alone in its block stands on the part that follows."""
        yield from self._unsaid(event.choice)
        signature = tag(event.origin, event.signature, event.redacted)
        own = event.signature is not None and event.origin in (None, NAME)
        begins = block is not None and block.opening is event
        if own and signature is not None and not event.text and begins:
            if (event.extra or NOTHING).get(NAME, NOTHING).get("alone"):
                yield _piece(event, {"text": "", "thoughtSignature": signature})
            else:
                self._signatures[event.choice] = signature
            return
        part: dict[str, Any] = {"text": event.text, "thought": True}
        if signature is not None:
            part["thoughtSignature"] = signature
        yield _piece(event, part)

    def _call(self, block: Block, opening: Tool) -> Piece:
        call: dict[str, Any] = {}
        if opening.call_id is not None:
            call["id"] = opening.call_id
        call["name"] = opening.name or ""
        arguments = "".join(block.arguments)
        made = CallPart(call_id="", name="", arguments=arguments, custom=opening.custom)
        call["args"] = object_of_text(arguments_of(made))
        call.update((opening.extra or NOTHING).get(NAME, NOTHING).get("call", NOTHING))
        return _piece(opening, self._signed({"functionCall": call}, opening.choice))

    def _signed(self, part: dict[str, Any], choice: int) -> dict[str, Any]:
        signature = self._signatures.pop(choice, None)
        if signature is not None:
            part["thoughtSignature"] = signature
        return part

    def _unsaid(self, choice: int) -> Iterator[Piece]:
        """A signature behind which nothing came that it could stand on."""
        signature = self._signatures.pop(choice, None)
        if signature is not None:
            yield Piece(choice, {"text": "", "thoughtSignature": signature})

    def _end(self, end: End) -> Iterator[Piece]:
        self._life(min(self._lives, default=0))
        for choice, life in self._lives.items():
            for step in life.steps([end]):
                yield from self._step(step, choice)
        last = len(self._finishes) - 1
        for at, finish in enumerate(self._finishes):
            usage = (end.usage or Usage()) if at == last else None
            yield self._grounded(_finish(finish), finish.choice)._replace(usage=usage)

    def _grounded(self, last: Piece, choice: int) -> Piece:
        """The last piece of a candidate, with the pages that it cites."""
        pages = self._pages.get(choice)
        if not pages or "groundingMetadata" in last.candidate:
            return last
        chunks = [{"web": {"uri": page["url"], "title": page.get("title", "")}} for page in pages]
        return last._replace(candidate={**last.candidate, "groundingMetadata": {"groundingChunks": chunks}})


def _whole(block: Block, closing: AnyEvent) -> bool:
    """Whether a call has all its arguments; one without any was cut if the answer was."""
    if "".join(block.arguments).strip():
        return block.complete()
    return not (isinstance(closing, Finish) and closing.reason in _SHORT)


def _finish(finish: Finish) -> Piece:
    """The last piece of a candidate: an empty text, which the most naive client can read."""
    own = (finish.extra or NOTHING).get(NAME, NOTHING)
    if own.get("blocked"):
        return Piece(None, chunk=own.get("chunk", NOTHING))
    piece = _piece(finish, {"text": ""})
    return piece._replace(
        candidate={"finishReason": write_reason(finish.reason), **piece.candidate},
        chunk={**piece.chunk, **seams_told(finish)},
    )


def _piece(event: Text | Thinking | Tool | Item | Finish, part: Fields) -> Piece:
    own = (event.extra or NOTHING).get(NAME)
    if own is None:
        return Piece(event.choice, part)
    return Piece(
        event.choice,
        {**part, **own.get("part", NOTHING)},
        own.get("candidate", NOTHING),
        own.get("content", NOTHING),
        own.get("chunk", NOTHING),
    )
