"""Owns what an answer comes to in every dialect alike, and what the upstreams of the matrix answer."""

from __future__ import annotations

from dataclasses import dataclass, field

TEXT = ("Streams, ", "世界 😀 \u2028", "data: and ", "an end.")
THOUGHT = ("First, ", "think: ", "\u201ctwice\u201d.")
CALLS = (
    ("get_weather", '{"city": "Zürich", "days": 2}'),
    ("get_time", '{"zone": "Europe/Zurich"}'),
)
SIGNATURE = "c2lnbmF0dXJl+/=="
FAILURE = "the model broke down"


@dataclass
class Answer:
    """A whole answer; ``reason`` is in OpenAI Chat's words, ``error`` the words of its error terminal."""

    text: str = ""
    thinking: str = ""
    calls: list[tuple[str, str]] = field(default_factory=list)
    reason: str | None = None
    error: str | None = None
    signatures: list[str] = field(default_factory=list)
    input_tokens: int | None = None
    output_tokens: int | None = None
    counted: int = 0
    """How often token counts were told at the end of an answer."""
    ended: bool = False
    """The terminal of success was there."""
    ids: list[str] = field(default_factory=list)
    """What its calls are known by."""
    complete: list[str] = field(default_factory=list)
    """The tools whose calls the stream told to be complete."""
    others: list[tuple[str, str | None]] = field(default_factory=list)
    """Text and reason of the second choice and further ones."""
    kinds: list[str] = field(default_factory=list)
    """The kinds of its events, where they have names; one for many in a row."""


def pieces(text: str, size: int = 7) -> list[str]:
    """A text in the pieces in which an upstream may bring it."""
    return [text[at : at + size] for at in range(0, len(text), size)]
