"""The demo model: honest, deterministic, paced, and careful with tools."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from tests.loops import VirtualLoop, in_virtual_time
from tests.loops import run as run_on
from tidegate.core.event import AnyEvent, End, Finish, Start, Text, Tool
from tidegate.core.fold import Fold
from tidegate.core.request import Begun, Header
from tidegate.core.source import Flow
from tidegate.core.steady import Passable, Steady
from tidegate.core.usage import Usage
from tidegate.dialects import load_dialect
from tidegate.errors import Broken
from tidegate.sources.demo import DemoSource

CHAT = load_dialect("openai-chat")


HEADER = Header(id="0" * 32, caller="c", dialect="openai-chat", model="m", created=0)


class Said:
    """An output that keeps what is emitted, and when."""

    def __init__(self) -> None:
        self.header = HEADER
        self.events: list[AnyEvent] = []
        self.batches: list[tuple[float, int]] = []
        self.asked = 0

    def emit(self, event: AnyEvent) -> None:
        self.emit_all((event,))

    def emit_all(self, events: Sequence[AnyEvent]) -> None:
        self.events += events
        self.batches.append((asyncio.get_running_loop().time(), len(events)))

    def drop(self, fields: Sequence[str]) -> None:
        raise AssertionError("the demo model takes everything")

    def steady(self, steady: Steady, upstream: Passable) -> bool:
        return False

    async def ready(self) -> None:
        self.asked += 1

    def unhurried(self) -> AbstractContextManager[None]:
        raise AssertionError("no person is asked")

    def count(self, usage: Usage) -> None:
        raise AssertionError("it counts at its end")

    def control(self, flow: Flow | None) -> None:
        raise AssertionError("nothing pushes to the demo")


def say(content: Any = "What is a tide?", delay: float = 0.0, **fields: Any) -> Said:
    """What the demo answers to a body with these fields."""
    out = Said()
    messages = fields.pop("messages", [{"role": "user", "content": content}])
    request = CHAT.read_request(json.dumps({"messages": messages, **fields}).encode())
    run_on(DemoSource(delay).run(request, out), VirtualLoop)
    return out


def text(out: Said, choice: int = 0) -> str:
    return "".join(event.text for event in out.events if isinstance(event, Text) and event.choice == choice)


def call(out: Said) -> tuple[str | None, Any] | None:
    """The name and the arguments of the only call, if there is one."""
    fold = Fold()
    fold.add(out.events)
    calls = list(fold.choices[0].calls.values())
    if not calls:
        return None
    [only] = calls
    return only.name, json.loads("".join(only.arguments))


def reason(out: Said) -> str:
    [finish] = [event for event in out.events if isinstance(event, Finish) and event.choice == 0]
    return finish.reason


def function(name: str, **parameters: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


F, G = function("f"), function("g")


def test_it_says_what_it_is_and_echoes_the_question() -> None:
    answer = text(say())
    assert "demo model" in answer
    assert "> What is a tide?" in answer
    assert "OPENAI_API_KEY" in answer


def test_an_answer_has_one_start_one_finish_and_one_end() -> None:
    events = say().events
    assert isinstance(events[0], Start)
    assert isinstance(events[-2], Finish)
    assert isinstance(events[-1], End)
    assert all(isinstance(event, Text) for event in events[1:-2])


def test_the_same_question_gets_the_same_answer() -> None:
    assert say().events == say().events


@pytest.mark.parametrize(
    ("content", "echoed"),
    [
        ("世界 😀", "> 世界 😀"),
        ([{"type": "text", "text": "one"}, {"type": "image_url", "image_url": {"url": "u"}}], "> one"),
        ("", "You asked nothing."),
        (None, "You asked nothing."),
        ([], "You asked nothing."),
    ],
)
def test_questions_in_any_form(content: Any, echoed: str) -> None:
    assert echoed in text(say(content))


def test_a_long_question_is_echoed_in_part() -> None:
    assert len(text(say("x" * 100_000))) < 1500


def test_the_last_question_is_the_one_that_is_echoed() -> None:
    roles = [("user", "first"), ("assistant", "a"), ("user", "second"), ("assistant", "partial")]
    answer = text(say(messages=[{"role": role, "content": content} for role, content in roles]))
    assert "> second" in answer
    assert "first" not in answer


# Tools: a call when one is required or exactly one is offered, and never after a result.


@pytest.mark.parametrize(
    ("tools", "choice", "called"),
    [
        ([F], None, "f"),
        ([F], "auto", "f"),
        ([F], "required", "f"),
        ([F], "none", None),
        ([F, G], None, None),
        ([F, G], "auto", None),
        ([F, G], "required", "f"),
        ([F, G], {"type": "function", "function": {"name": "g"}}, "g"),
        ([F], {"type": "function", "function": {"name": "g"}}, None),
        ([], "required", None),
        (None, "required", None),
        ([{"type": "web_search"}], None, None),
        ([{"type": "web_search"}, F], None, "f"),
    ],
)
def test_when_a_tool_is_called(tools: Any, choice: Any, called: str | None) -> None:
    out = say(tools=tools, tool_choice=choice)
    found = call(out)
    assert (found[0] if found else None) == called
    assert reason(out) == ("tool_calls" if called else "stop")
    assert bool(text(out)) is (called is None)


@pytest.mark.parametrize("role", ["tool", "function"])
@pytest.mark.parametrize(
    "choice", [None, "auto", "required", {"type": "function", "function": {"name": "f"}}]
)
def test_never_after_a_result_which_is_told_instead(role: str, choice: Any) -> None:
    """Else an agent that requires calls would go on for ever."""
    messages = [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": role, "content": "42 degrees", "tool_call_id": "x", "name": "f"},
    ]
    out = say(messages=messages, tools=[F], tool_choice=choice)
    assert call(out) is None
    assert "The tool answered: 42 degrees" in text(out)
    assert reason(out) == "stop"


def test_a_later_question_may_be_answered_by_a_tool_again() -> None:
    messages = [
        {"role": "user", "content": "q"},
        {"role": "tool", "content": "42", "tool_call_id": "x"},
        {"role": "assistant", "content": "It is 42."},
        {"role": "user", "content": "again"},
    ]
    assert call(say(messages=messages, tools=[F])) == ("f", {})


@pytest.mark.parametrize(
    ("parameters", "arguments"),
    [
        ({}, {}),
        ({"properties": {"q": {"type": "string"}}}, {"q": "Oslo?"}),
        (
            {"properties": {"q": {"type": "string"}, "n": {"type": "integer"}}, "required": ["n"]},
            {"n": 0},
        ),
        ({"properties": {"n": {"type": "number", "minimum": 3}}}, {"n": 3}),
        ({"properties": {"u": {"enum": ["c", "f"]}}}, {"u": "c"}),
        ({"properties": {"b": {"type": "boolean"}}}, {"b": True}),
        ({"properties": {"a": {"type": "array"}}}, {"a": []}),
        ({"properties": {"z": {"type": "null"}}}, {"z": None}),
        (
            {"properties": {"o": {"type": "object", "properties": {"x": {"type": "string"}}}}},
            {"o": {"x": "Oslo?"}},
        ),
        ({"properties": {"any": {}}}, {"any": "Oslo?"}),
        ({"properties": {"q": 5}, "required": ["q", "absent"]}, {}),
        ({"properties": 5}, {}),
    ],
)
def test_arguments_fit_the_schema(parameters: dict[str, Any], arguments: dict[str, Any]) -> None:
    assert call(say("Oslo?", tools=[function("f", **parameters)])) == ("f", arguments)


def test_a_call_is_streamed_in_parts_and_named_once() -> None:
    out = say("A question that is long enough", tools=[function("f", properties={"q": {"type": "string"}})])
    parts = [event for event in out.events if isinstance(event, Tool)]
    assert len(parts) > 2
    assert [event.name for event in parts] == ["f"] + [None] * (len(parts) - 1)


@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize("most", [1, 2, 10])
def test_a_limit_cuts_the_answer(limit: str, most: int) -> None:
    out = say(**{limit: most})
    assert sum(isinstance(event, Text) for event in out.events) == most
    assert reason(out) == "length"
    end = out.events[-1]
    assert isinstance(end, End)
    assert end.usage is not None
    assert end.usage.output_tokens == most


def test_a_call_that_is_cut_is_not_said_to_be_one() -> None:
    """Its arguments are not whole: an agent must not run it."""
    assert reason(say(tools=[function("f", properties={"q": {"type": "string"}})], max_tokens=2)) == "length"


@pytest.mark.parametrize("most", [None, 100_000])
def test_a_limit_that_is_not_met_cuts_nothing(most: int | None) -> None:
    assert text(say(max_tokens=most)) == text(say())


def test_a_limit_below_zero_is_none() -> None:
    assert text(say(max_tokens=-1)) == text(say(max_tokens=-40)) == text(say())


def test_several_choices_say_the_same_each_for_itself() -> None:
    out = say(n=3)
    assert text(out, 0) == text(out, 1) == text(out, 2) == text(say())
    assert [event.choice for event in out.events if isinstance(event, Finish)] == [0, 1, 2]
    assert sum(isinstance(event, End) for event in out.events) == 1


@pytest.mark.parametrize("n", [1, 3])
def test_usage_counts_what_was_said(n: int) -> None:
    out = say("one two three", n=n)
    end = out.events[-1]
    assert isinstance(end, End)
    assert end.usage is not None
    assert end.usage.output_tokens == sum(isinstance(event, Text) for event in out.events)
    assert end.usage.input_tokens == 3


def test_it_keeps_its_pace() -> None:
    out = say(delay=0.025)
    times = [at for at, _ in out.batches[1:-1]]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert gaps == pytest.approx([0.025] * len(gaps))
    assert times[0] == pytest.approx(0.025)


def test_without_a_pace_many_tokens_leave_at_once() -> None:
    out = say("x" * 400)
    assert len(out.batches) < 6
    assert out.batches[-1][0] == 0


def test_it_asks_for_room_before_each_batch() -> None:
    out = say(delay=0.01)
    assert out.asked == len(out.batches) - 2


@in_virtual_time
async def test_it_waits_for_a_reader_and_can_be_cancelled_meanwhile() -> None:
    class Full(Said):
        async def ready(self) -> None:
            await asyncio.get_running_loop().create_future()

    out = Full()
    request = CHAT.read_request(b'{"messages":[{"role":"user","content":"q"}]}')
    task = asyncio.get_running_loop().create_task(DemoSource(0.01).run(request, out))
    await asyncio.sleep(60)
    assert [type(event) for event in out.events] == [Start]
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


def begun(beginning: str) -> Said:
    """What the demo goes on with after a beginning."""
    out = Said()
    request = CHAT.read_request(json.dumps({"messages": [{"role": "user", "content": "Hi"}]}).encode())
    request = msgspec.structs.replace(request, begun=Begun(beginning, 1))
    run_on(DemoSource(0.0).run(request, out), VirtualLoop)
    return out


def test_it_goes_on_with_its_own_answer_wherever_that_broke_off() -> None:
    whole = text(say("Hi"))
    for at in range(0, len(whole), 7):
        assert whole[:at] + text(begun(whole[:at])) == whole
    assert [type(event) for event in begun(whole).events] == [Start, Finish, End]


def test_it_does_not_go_on_with_what_it_would_not_say() -> None:
    with pytest.raises(Broken):
        begun("I am a large")


def test_json_that_is_asked_for_fits_its_schema() -> None:
    schema = {
        "type": "object",
        "properties": {"title": {"type": "string"}, "parts": {"type": "array", "items": {"type": "integer"}}},
        "required": ["title", "parts"],
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    assert json.loads(text(say(response_format=wanted))) == {"title": "A demo", "parts": [0]}
    assert isinstance(json.loads(text(say(response_format={"type": "json_object"}))), dict)
