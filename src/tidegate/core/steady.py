"""Steady streams: frames that differ in their text alone, described once instead of being read one by one.

A *template* is what such frames have in common: fixed bytes, and between them places for what differs. A
source describes the frames that come in, a renderer those that go out, the log the events in between; what
passes from one to the other is then no more than the text (``streams/relay.py``).
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from tidegate.core.event import Text, Thinking

TEXT, WORD, DIGITS, SPACES, COUNT = range(5)
"""Places: the inside of a JSON string that is the delta's text, and of one that has printable ASCII and no
escapes; digits and spaces that say nothing; the number of a frame in a rendering that counts its own.
"""

Template = tuple[bytes | int, ...]


class Marks(NamedTuple):
    """What stands in the places of what differs while a template is made: plain ASCII that nobody says."""

    text: str
    word: str


def cut(made: bytes, marks: Marks) -> Template | None:
    """The template of something that was made with the marks in place; None where the text does not show."""
    text_mark, word_mark = marks.text.encode("ascii"), marks.word.encode("ascii")
    before, text, after = made.partition(text_mark)
    if not text or text_mark in after or made.count(word_mark) > 1:
        return None
    if word_mark in before:
        first, _, between = before.partition(word_mark)
        return (first, WORD, between, TEXT, after)
    if word_mark in after:
        between, _, last = after.partition(word_mark)
        return (before, TEXT, between, WORD, last)
    return (before, TEXT, after)


class Frames(NamedTuple):
    """How a renderer makes the frames of deltas that are alike."""

    template: Template
    number: int = 0
    """Of the next frame, where they are counted."""
    wants_text: bool = False
    """The text is shown again later."""


class Steady(Protocol):
    """Frames of an upstream that stand for one event after another like ``sample``."""

    @property
    def wants_text(self) -> bool:
        """The text is to be compared with what is said later."""
        ...

    @property
    def pattern(self) -> Template:
        """Framing included. What follows a text or a word begins with the quote that ends it."""
        ...

    def sample(self, marks: Marks) -> Text | Thinking:
        """The event of such a frame, with the marks in the places of what differs."""
        ...

    def passed(self, events: int, characters: int, text: str, last: str) -> None:
        """So many frames were not decoded, because they had only more text, of so many characters.

        Where it is wanted, ``text`` is what they had in all, and ``last`` what the last one had.
        """
        ...


class Passable(Protocol):
    """A connection whose bytes can be sent another way for a while."""

    @property
    def steady(self) -> bool:
        """It stands between two chunks of a chunked body."""
        ...

    def redirect(self, protocol: object) -> None:
        """Have an :class:`asyncio.Protocol` receive what comes, as it comes."""
        ...

    def take_back(self) -> None:
        """Receive again."""
        ...

    def data_received(self, data: bytes) -> None: ...

    def eof_received(self) -> bool | None: ...

    def connection_lost(self, exc: Exception | None) -> None: ...
