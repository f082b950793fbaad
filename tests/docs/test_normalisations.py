"""What docs/endpoints.md says is changed on the way to a client: each item is so, and none is missing."""

from __future__ import annotations

import json
import re
import time
from typing import Any, NamedTuple

import pytest

from tests.chat import DONE, USAGE, Json, chunk, envelope, frame, streamed_bytes, tool
from tests.chat_stream import body_for, post_chat, stream_chat
from tests.docs.examples import ROOT
from tests.gateway import Gateway
from tests.upstream import Upstream

PAGE = (ROOT / "docs" / "endpoints.md").read_text(encoding="utf-8")
ROLE = {"role": "assistant", "content": ""}
STOP = chunk(finish="stop")


class Way(NamedTuple):
    """From a scripted upstream through a gateway to a client of the same dialect."""

    upstream: Upstream
    gateway: Gateway

    def chunks(self, *sent: Json, usage: bool = False) -> list[Json]:
        """What the client is told when the upstream says this."""
        return self.of(b"".join(frame(each) for each in sent) + DONE, usage=usage)

    def of(self, sent: bytes, *, usage: bool = False) -> list[Json]:
        self.upstream.play(streamed_bytes(sent))
        more: Json = {"stream_options": {"include_usage": True}} if usage else {}
        return stream_chat(self.gateway.address, **more).succeeded().chunks

    def deltas(self, *sent: Json) -> list[Any]:
        """The deltas between the role chunk and the finish."""
        found = [each["choices"][0]["delta"] for each in self.chunks(*sent, STOP)]
        assert found[0] == ROLE
        assert found[-1] == {}
        return found[1:-1]


class Change(NamedTuple):
    is_so: bool
    told: object


def identity(way: Way) -> Change:
    told = way.chunks(chunk("a"), STOP)
    [(name, kind, created)] = {(each["id"], each["object"], each["created"]) for each in told}
    is_so = re.fullmatch("chatcmpl-[0-9a-f]{32}", name) is not None and abs(time.time() - created) < 60
    return Change(is_so and kind == "chat.completion.chunk", told)


def model(way: Way) -> Change:
    told = way.chunks(chunk("a"), chunk("b", model="other"), STOP)
    nameless = way.chunks(chunk("a", model=None), STOP)
    names = {each["model"] for each in told} | {each["model"] for each in nameless}
    return Change(names == {"mock", "m"}, told)


def without_identity(chunks: list[Json]) -> list[Json]:
    return [{**each, "id": "", "created": 0} for each in chunks]


def framing(way: Way) -> Change:
    plain = frame(chunk("a")) + frame(STOP)
    text = json.dumps(chunk("a"), indent=1).replace("\n", "\r\ndata: ")
    odd = f"\ufeff: ping\r\nid: 1\r\nevent: message\r\nretry: 1\r\ndata: {text}\r\n\r\n".encode() + frame(
        STOP
    )
    return Change(without_identity(way.of(odd + DONE)) == without_identity(way.of(plain + DONE)), odd)


def role(way: Way) -> Change:
    told = way.deltas(chunk("", role="assistant"), chunk("a", role="assistant"))
    return Change(told == [{"content": "a"}], told)


def nothing_said(way: Way) -> Change:
    told = way.deltas(
        chunk(""), chunk(delta={}), chunk(delta={"content": None}), chunk("a", delta={"x": None, "y": ""})
    )
    return Change(told == [{"content": "a"}], told)


def one_thing_a_chunk(way: Way) -> Change:
    calls = [tool(0, "{}", call_id="c", name="f"), tool(1, "{}", call_id="d", name="g")]
    told = way.deltas(chunk("a", reasoning="r", tool_calls=calls, delta={"x": 1}))
    kinds = [[name for name in each if name != "x"] for each in told]
    both = way.chunks(
        envelope([{"index": each, "delta": {"content": "a"}, "finish_reason": "stop"} for each in (0, 1)])
    )
    parted = all(len(each["choices"]) == 1 for each in both)
    in_order = kinds == [["reasoning_content"], ["content"], ["tool_calls"], ["tool_calls"]]
    return Change(in_order and parted and ["x" in each for each in told] == [True, False, False, False], told)


def finish(way: Way) -> Change:
    told = way.chunks(chunk("a", finish="stop"))
    reasons = [
        way.chunks(chunk("a"), chunk(finish=each))[-1] for each in ("end_turn", "max_tokens", "tool_use")
    ]
    words = [each["choices"][0]["finish_reason"] for each in reasons]
    return Change(len(told) == 3 and words == ["stop", "length", "tool_calls"], told)


def usage(way: Way) -> Change:
    sent = (chunk("a", usage={**USAGE, "prompt_tokens": 1}), chunk(finish="stop", choice={"usage": USAGE}))
    told = way.chunks(*sent, envelope([], usage=USAGE), usage=True)
    nulls = all(each["usage"] is None for each in told[:-1])
    unasked = not any("usage" in each for each in way.chunks(*sent))
    unknown = way.chunks(chunk("a"), STOP, usage=True)[-1]["usage"]
    last = told[-1]["choices"] == [] and told[-1]["usage"] == USAGE
    return Change(nulls and last and unasked and set(unknown.values()) == {0}, told)


def content_lists(way: Way) -> Change:
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "t"}]}, {"type": "text", "text": "a"}]
    told = way.deltas(chunk(delta={"content": parts}))
    return Change(told == [{"reasoning_content": "t"}, {"content": "a"}], told)


def reasoning(way: Way) -> Change:
    told = way.deltas(
        *(chunk(reasoning="r", reasoning_name=name) for name in ("reasoning", "reasoning_content"))
    )
    return Change(told == [{"reasoning": "r"}, {"reasoning_content": "r"}], told)


def tool_calls(way: Way) -> Change:
    function = {"name": "f", "arguments": {"a": 1}, "x": 2}
    first, second = {"index": 7, "function": function}, tool(9, "", call_id="d", name="g")
    deltas = [
        each["tool_calls"] for each in way.deltas(chunk(tool_calls=[first]), chunk(tool_calls=[second]))
    ]
    told = [each[-1] for each in deltas]
    written = {"name": "f", "arguments": '{"a": 1}', "x": 2}
    is_so = (
        [each["index"] for each in told] == [0, 1] and told[0]["function"] == written and bool(told[0]["id"])
    )
    padded = deltas[1][:-1] == [{"index": 0, "function": {"arguments": ""}}]
    return Change(is_so and padded, deltas)


def said_twice(way: Way) -> Change:
    pieces = [f"word{number} " for number in range(40)]
    told = way.deltas(*(chunk(each) for each in pieces), chunk("".join(pieces), finish="stop"))
    return Change(told == [{"content": each} for each in pieces], told)


def no_choices(way: Way) -> Change:
    told = way.chunks(envelope([], x=1), chunk("a"), envelope([], y=2), STOP)
    is_so = told[0]["x"] == 1 and told[0]["choices"][0]["delta"] == ROLE
    return Change(is_so and told[2]["y"] == 2 and told[2]["choices"][0]["delta"] == {"content": ""}, told)


def errors(way: Way) -> Change:
    way.upstream.play(streamed_bytes(frame({"error": "the words"})))
    told = post_chat(way.gateway.address, body_for()).json
    return Change(told["error"]["message"] == "the words" and "code" in told["error"], told)


CHANGES = {
    "Identity": identity,
    "Model": model,
    "Framing": framing,
    "Role": role,
    "Nothing said": nothing_said,
    "One thing a chunk": one_thing_a_chunk,
    "Finish": finish,
    "Usage": usage,
    "Content lists": content_lists,
    "Reasoning": reasoning,
    "Tool calls": tool_calls,
    "Said twice": said_twice,
    "No choices": no_choices,
    "Errors": errors,
}


def test_every_change_is_listed() -> None:
    assert re.findall(r"^\d+\. \*\*(.+?)\.\*\*", PAGE, re.MULTILINE) == list(CHANGES)


@pytest.mark.parametrize("title", CHANGES)
def test_change_is_as_listed(gateway: Gateway, upstream: Upstream, title: str) -> None:
    change = CHANGES[title](Way(upstream, gateway))
    assert change.is_so, change.told
