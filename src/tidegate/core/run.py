"""Runs of like deltas: many events as one, for readers that have to get past them and not to show them.

A stream of a hundred thousand deltas is a few hundred runs. What a rendering remembers of a delta is its
text and its place, so a run says the same to it as its deltas would, one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from json import JSONEncoder, loads
from typing import Any, Final

import msgspec
from msgspec import Struct

from tidegate.core.event import AnyEvent, End, Extra, Finish, Item, Start, Text, Thinking, Tool, status_told

Piece = Text | Thinking | Tool
"""A delta that a run can be made of."""


class Run(
    Struct,
    frozen=True,
    gc=False,
    tag_field="event",
    tag="run",
    rename={"event": "of"},
):
    """Deltas that are alike, as one: ``event`` has the text of all of them, ``sizes`` how it was cut.

    Sizes are in characters and at least 1; there are two or more. What stands around a single delta and
    says nothing of those after it (a chunk's unknown fields) is that of the first.
    """

    event: Piece
    sizes: tuple[int, ...]

    @property
    def count(self) -> int:
        """How many deltas these are."""
        return len(self.sizes)

    def pieces(self) -> list[Piece]:
        """The deltas, one by one."""
        text, at, found = text_of(self.event), 0, []
        for size in self.sizes:
            found.append(with_text(self.event, text[at : at + size]))
            at += size
        return found

    def parted(self) -> tuple[Piece, Run]:
        """The first delta, and the run of those after it, which may be one alone."""
        text, size = text_of(self.event), self.sizes[0]
        return with_text(self.event, text[:size]), Run(with_text(self.event, text[size:]), self.sizes[1:])


Skipped = Run | AnyEvent
"""What a reader may be told to get past."""

_ALONE: Final = frozenset({"chunk", "choice", "delta"})
"""Levels of OpenAI Chat's unknown fields: shown there alone, at once with their delta, and never again.

Other dialects hold deltas back while a call is under way, so theirs are not forgotten when they have passed.
"""

_Any = Run | Start | Text | Thinking | Tool | Item | Finish | End
_encode = msgspec.json.Encoder().encode
_encode_escaped = JSONEncoder(separators=(",", ":")).encode
_decode = msgspec.json.Decoder(list[_Any]).decode


def text_of(event: Piece) -> str:
    """The text that a delta adds, whatever it is part of."""
    return event.arguments if isinstance(event, Tool) else event.text


def with_text(event: Piece, text: str) -> Piece:
    """A delta that is like another one, but for its text."""
    if type(event) is Text:
        return Text(
            text=text, choice=event.choice, block=event.block, refusal=event.refusal, extra=event.extra
        )
    name = "arguments" if type(event) is Tool else "text"
    return msgspec.structs.replace(event, **{name: text})


def coalesce(events: Sequence[AnyEvent]) -> list[Skipped]:
    """The same events with runs of like deltas as one. One that is alone stays what it is."""
    found: list[Skipped] = []
    open_: list[Piece] = []
    for event in events:
        piece = _plain(event)
        if piece is None:
            _close(open_, found)
            found.append(event)
            continue
        if open_ and not _alike(open_[0], piece):
            _close(open_, found)
        open_.append(piece)
    _close(open_, found)
    return found


def encode(items: Sequence[Skipped]) -> bytes:
    """Runs and events as JSON, which :func:`decode` reads."""
    try:
        return _encode(items)
    except UnicodeEncodeError:  # a lone surrogate, which some servers cut an emoji into
        return _encode_escaped(msgspec.to_builtins(items)).encode("ascii")


def decode(data: bytes) -> list[Skipped]:
    """What :func:`encode` wrote. Raises ValueError for anything else."""
    try:
        return _decode(data)
    except msgspec.DecodeError:
        return msgspec.convert(loads(data), list[_Any])


def _plain(event: AnyEvent) -> Piece | None:
    """A delta that is text and nothing that happens once; an empty one is often not shown at all."""
    if type(event) is Text:
        return event if event.text and event.logprobs is None else None
    if type(event) is Thinking:
        # A line of progress is told apart from thinking, and its fields with it.
        plain = event.text and event.signature is None and event.redacted is None
        return event if plain and status_told(event) is None else None
    if type(event) is Tool:
        return event if event.arguments and event.call_id is None and event.name is None else None
    return None


def _alike(first: Any, event: Any) -> bool:
    kind = type(event)
    if kind is not type(first) or event.block != first.block or event.choice != first.choice:
        return False
    if event.extra is not first.extra and not _same(first.extra, event.extra):
        return False
    if kind is Text:
        return bool(event.refusal == first.refusal)
    return bool(event.custom == first.custom if kind is Tool else event.origin == first.origin)


def _same(first: Extra | None, extra: Extra | None) -> bool:
    """Whether two deltas' unknown fields mean the same to what is shown after them."""
    kept, other = _lasting(first), _lasting(extra)
    # 1, 1.0 and true are equal, and so are objects whose members stand in another order.
    return kept == other and repr(kept) == repr(other)


def _lasting(extra: Extra | None) -> dict[str, Any]:
    if extra is None:
        return {}
    return {name: value for name, value in extra.items() if name not in _ALONE}


def _close(open_: list[Piece], found: list[Skipped]) -> None:
    """End a run of deltas."""
    if len(open_) > 1:
        texts = [text_of(event) for event in open_]
        joined = "".join(texts)
        if _whole(joined):
            found.append(Run(with_text(open_[0], joined), tuple(map(len, texts))))
        else:
            found.extend(open_)
    else:
        found.extend(open_)
    open_.clear()


def _whole(text: str) -> bool:
    """Whether no half of a character is in a text: two of them would come back as one."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
