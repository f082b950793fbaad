"""Where an answer is gone on with: which of the first words of the continuation were shown before.

An upstream that is given the beginning of an answer may repeat it before it goes on: all of it, or its last
words. What it says is held back until that is decided: by what it says, and never by time.
"""

from __future__ import annotations

from typing import Final

from tidegate.errors import Broken

MOST: Final = 200
"""Characters of a beginning that may be repeated in part; all of it may be, however long."""

LEAST: Final = 12
_LEAST_DIFFERENT: Final = 8
"""So long, of so many different characters, is what can be no coincidence: lines of tables and lists do
follow themselves, and taking away what was meant would lose text."""

_ANEW: Final = 24
"""So many characters like those of the beginning, and then others: the answer was begun anew."""

_LONGEST_MARK: Final = 40
_MARKS: Final = (
    "<think>",
    "<tool_call>",
    "<|im_start|>",
    "<|start_header_id|>",
    "<|assistant|>",
    "<|channel|>",
    "<|start|>",
    "[INST]",
    "[TOOL_CALLS]",
)
"""What a model writes where a turn begins: text that starts so does not go on with another."""


class Overlap:
    """Takes the text of a continuation piece by piece, and gives what of it is new.

    ``given`` is the beginning that the upstream was given to go on with, ``tail`` what was shown beyond that:
    white space, which the upstream says first if it agrees. ``echoes``: it is known to repeat a beginning,
    so that also a short one counts. Raises Broken for text that does not go on with the beginning.
    """

    __slots__ = ("_echoes", "_given", "_held", "_matching", "_starting", "_tail")

    def __init__(self, given: str, tail: str = "", *, echoes: bool = False) -> None:
        self._given = given
        self._tail = tail
        self._echoes = echoes
        self._held = ""
        self._matching = True
        """Whether what is held may still repeat something."""
        self._starting = True
        """Whether it may still be a mark of a turn."""

    def feed(self, text: str) -> str:
        """What of the text so far may be shown now; empty while that is not decided."""
        return self._take(text, final=False)

    def finish(self) -> str:
        """What was held back, now that no more will come."""
        return self._take("", final=True)

    def _take(self, text: str, *, final: bool) -> str:
        if self._matching:
            self._held += text
            repeated = self._repeated(self._held, final=final)
            if repeated is None:
                return ""
            self._matching = False
            text, self._held = self._held[repeated:], ""
        if self._tail and text:
            text = self._without_tail(text)
        return self._without_mark(text, final=final) if self._starting else text

    def _repeated(self, said: str, *, final: bool) -> int | None:
        """How many characters repeat the beginning; None while more may."""
        given = self._given
        if given and (self._echoes or (len(given) >= LEAST and _tells(given, len(given)))):
            if said.startswith(given):
                return len(given)
            if not final and given.startswith(said):
                return None
        longest = min(MOST, len(given))
        if not final and any(
            given.startswith(said, len(given) - size) and _tells(given, size)
            for size in range(max(len(said) + 1, LEAST), longest + 1)
        ):
            return None
        for size in range(min(len(said), longest), LEAST - 1, -1):
            if given.endswith(said[:size]) and _tells(given, size):
                return size
        if _common(said, given) >= _ANEW:
            raise Broken("the upstream began the answer anew in place of going on with it", retryable=False)
        return 0

    def _without_tail(self, text: str) -> str:
        """The text without the white space that was shown before."""
        same = _common(text, self._tail)
        self._tail = self._tail[same:] if same == len(text) else ""
        return text[same:]

    def _without_mark(self, text: str, *, final: bool) -> str:
        """The text, once it is known not to begin with a mark."""
        self._held += text
        begins = self._held[:_LONGEST_MARK].lstrip()
        if begins.startswith(_MARKS):
            raise Broken(
                "the upstream began another turn in place of going on with the answer", retryable=False
            )
        if not final and len(self._held) < _LONGEST_MARK and any(each.startswith(begins) for each in _MARKS):
            return ""
        self._starting = False
        text, self._held = self._held, ""
        return text


def _tells(given: str, size: int) -> bool:
    """Whether the last characters of a beginning are such that to read them again tells of a repetition."""
    part = given[-size:]
    if len(set(part)) < _LEAST_DIFFERENT:
        return False
    return not given[:-size].rstrip().endswith(part.strip())  # a line that stands there twice may come again


def _common(one: str, other: str) -> int:
    """How many characters two texts begin alike with."""
    most = min(len(one), len(other))
    if one[:most] == other[:most]:
        return most
    return next(at for at in range(most) if one[at] != other[at])
