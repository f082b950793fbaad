"""Owns what the scripted Chat upstream plays for the clients of this folder."""

from __future__ import annotations

import importlib.util

import pytest

from tests.chat import USAGE, chunk, envelope, stream, tool
from tests.script import Head, Pause, Script, Send, Step
from tests.upstream import Answer, Request

# What trips readers of lines: more than ASCII, separators that are no newlines, text that looks like a frame.
PIECES = ["Hello ", "世界 😀", " \u2028\u0085\u2029 ", "data: x\n\n", "[DONE]", " ends."]
WHOLE = "".join(PIECES)
PARIS, ROME = '{"place": "Paris"}', '{"place": "Rome"}'
# Longer than four keep-alives.
SILENCE = 0.45

needs_engine = pytest.mark.skipif(
    importlib.util.find_spec("xllamacpp") is None, reason="needs xllamacpp: pip install 'tidegate[local]'"
)


def parallel_calls(name: str = "look") -> list[Step]:
    """A sentence, then two calls in fragments."""
    chunks = [
        chunk("", role="assistant"),
        chunk("I look."),
        chunk(tool_calls=[tool(0, "", call_id="call_a", name=name)]),
        chunk(tool_calls=[tool(0, PARIS[:7])]),
        chunk(tool_calls=[tool(0, PARIS[7:])]),
        chunk(tool_calls=[tool(1, "", call_id="call_b", name=name)]),
        chunk(tool_calls=[tool(1, ROME[:5])]),
        chunk(tool_calls=[tool(1, ROME[5:])]),
        chunk(finish="tool_calls"),
        envelope([], usage=USAGE),
    ]
    return stream(chunks)


def thoughtful(pieces: list[str]) -> list[Step]:
    """A thought in two pieces before the answer."""
    thoughts = [chunk(reasoning="I should "), chunk(reasoning="greet.")]
    return stream(
        [*thoughts, *(chunk(piece) for piece in pieces), chunk(finish="stop"), envelope([], usage=USAGE)]
    )


def one_call(name: str, arguments: str, call_id: str = "call_a") -> list[Step]:
    half = len(arguments) // 2
    chunks = [
        chunk("", role="assistant"),
        chunk(tool_calls=[tool(0, "", call_id=call_id, name=name)]),
        chunk(tool_calls=[tool(0, arguments[:half])]),
        chunk(tool_calls=[tool(0, arguments[half:])]),
        chunk(finish="tool_calls"),
        envelope([], usage=USAGE),
    ]
    return stream(chunks)


def calls(*named: tuple[str, str], text: str) -> list[Step]:
    """A sentence, then calls by name and arguments, each in one piece."""
    opened = [
        chunk(tool_calls=[tool(index, arguments, call_id=f"call_{index}", name=name)])
        for index, (name, arguments) in enumerate(named)
    ]
    return stream([chunk(text, role="assistant"), *opened, chunk(finish="tool_calls")])


def silent(script: list[Step], seconds: float = SILENCE) -> list[Step]:
    """The same, with a silence before the head, before the first delta and in the middle."""
    sends = [at for at, step in enumerate(script) if isinstance(step, Send)]
    pauses = {at: Pause(seconds) for at in (0, sends[0], sends[len(sends) // 2])}
    assert isinstance(script[0], Head)
    return [
        each for at, step in enumerate(script) for each in ((pauses[at], step) if at in pauses else (step,))
    ]


def answer_then(first: Script, *later: Script) -> Answer:
    """Answers a conversation: `first` until tools have answered, then the next for each round of results."""

    def answer(request: Request) -> Script:
        turns = [message["role"] for message in request.json["messages"]]
        rounds = sum(
            role == "tool" and before != "tool" for before, role in zip(["", *turns], turns, strict=False)
        )
        chosen: Script = (first, *later)[min(rounds, len(later))]
        return chosen

    return answer
