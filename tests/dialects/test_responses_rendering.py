"""What is rendered as a Responses stream keeps the documented order, whatever a source interleaves."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dialects.chat_frames import texts
from tests.dialects.recorded import header_for
from tests.properties import examples
from tests.responses import check_lifecycle, content_of, events_of
from tidegate.core.event import AnyEvent, End, Failure, Finish, Item, Start, Text, Thinking, Tool
from tidegate.core.usage import Usage
from tidegate.dialects import load_dialect
from tidegate.dialects.openai_responses import ResponsesStreamRenderer, ResponsesWholeRenderer

RESPONSES = load_dialect("openai-responses")
QUICK = examples(100)

TOOLS: list[dict[str, Any]] = [
    {"type": "custom", "name": "free"},
    {"type": "namespace", "name": "mcp__disk", "tools": [{"type": "function", "name": "read"}]},
    {"type": "function", "name": "plain"},
]
BODY = json.dumps({"input": "x", "tools": TOOLS, "instructions": "世界", "metadata": {"k": "v"}}).encode()


def rendered(events: list[AnyEvent], batch: int = 1, body: bytes = BODY) -> bytes:
    renderer = ResponsesStreamRenderer(header_for(RESPONSES, body=body))
    return b"".join(renderer.render(events[at : at + batch]) for at in range(0, len(events), batch))


def response_of(events: list[AnyEvent]) -> Any:
    return check_lifecycle(events_of(rendered(events)))


_EXTRA = st.sampled_from([None, None, {"openai-responses": {"event": {"x": 1}}}, {"chunk": {"y": 2}}])
said = st.one_of(
    st.builds(Text, text=texts, block=st.integers(0, 3), extra=_EXTRA),
    st.builds(Text, text=texts),
    st.builds(Text, text=texts, refusal=st.just(True), block=st.just(9)),
    st.builds(Text, text=texts, logprobs=st.just({"content": [{"token": "a"}]})),
    st.builds(
        Thinking,
        text=texts,
        block=st.integers(4, 6),
        signature=st.sampled_from([None, None, "sig"]),
        origin=st.just("anthropic-messages"),
    ),
    st.builds(
        Tool,
        arguments=st.sampled_from(["", "{", '{"input": "a"}', "}", '"b"']),
        block=st.integers(7, 8),
        call_id=st.sampled_from([None, "c"]),
        name=st.sampled_from(["free", "mcp__disk__read", "plain", None]),
    ),
    st.builds(Item, kind=st.sampled_from(["citation", "chunk"]), value=st.just({"k": "v"})),
    st.builds(Text, text=texts, choice=st.just(1)),
)
ENDS: list[list[AnyEvent]] = [
    [Finish(reason="stop"), End(outcome="completed", usage=Usage(1, 2))],
    [Finish(reason="length"), End(outcome="completed")],
    [End(outcome="completed")],
    [End(outcome="failed", error=Failure("broke", code="idle", status=504))],
    [Finish(reason="stop"), End(outcome="cancelled", error=Failure("gone", type="cancelled"))],
]


@QUICK
@given(events=st.lists(said, max_size=14), end=st.sampled_from(ENDS), started=st.booleans())
def test_any_interleaving_has_a_lifecycle(events: list[AnyEvent], end: list[AnyEvent], started: bool) -> None:
    """hazards 13 and 18: deltas after their item and part, one item after another, all of it at the end."""
    stream = [*([Start(model="m")] if started else []), *events, *end]
    body = rendered(stream)
    check_lifecycle(events_of(body))
    assert rendered(stream, batch=3) == body
    assert rendered(stream, batch=len(stream)) == body


@QUICK
@given(events=st.lists(said, max_size=14), end=st.sampled_from(ENDS[:3]))
def test_a_whole_answer_is_the_last_response_of_the_stream(
    events: list[AnyEvent], end: list[AnyEvent]
) -> None:
    stream = [Start(model="m"), *events, *end]
    streamed = ResponsesStreamRenderer(header_for(RESPONSES, body=BODY))
    streamed.render(stream)
    whole = ResponsesWholeRenderer(header_for(RESPONSES, body=BODY, stream=False))
    told = b"".join(whole.render([event]) for event in stream)
    # Halves of an emoji become one on their way through JSON.
    assert (
        json.loads(told)
        == json.loads(json.dumps(streamed.response))
        == json.loads(json.dumps(whole.response))
    )


@QUICK
@given(events=st.lists(said, max_size=12))
def test_kept_surroundings_change_nothing(events: list[AnyEvent]) -> None:
    """A renderer that is given copies of every extra takes the long way, and writes the same."""
    stream: list[AnyEvent] = [Start(), *events, *ENDS[0]]
    copies = [type(each)(**{name: getattr(each, name) for name in each.__struct_fields__}) for each in stream]
    assert rendered(stream) == rendered(copies)


def test_a_custom_tool_that_was_called_as_a_function_is_unwrapped_when_it_is_whole() -> None:
    call = [
        Tool(arguments="", call_id="c", name="free"),
        Tool(arguments='{"input": "one'),
        Tool(arguments='\\ntwo"}'),
    ]
    events = events_of(rendered([*call, *ENDS[0]]))
    deltas = [event["delta"] for event in events if event["type"] == "response.custom_tool_call_input.delta"]
    assert deltas == ["one\ntwo"]
    [item] = check_lifecycle(events)["output"]
    assert (item["type"], item["name"], item["input"]) == ("custom_tool_call", "free", "one\ntwo")


def test_a_tool_of_a_namespace_is_called_by_its_two_names() -> None:
    [item] = response_of([Tool(arguments="{}", call_id="c", name="mcp__disk__read"), *ENDS[0]])["output"]
    assert (item["type"], item["namespace"], item["name"]) == ("function_call", "mcp__disk", "read")


def test_a_call_without_arguments_has_an_empty_object() -> None:
    """Some servers send no arguments at all, and clients read them as JSON."""
    [item] = response_of([Tool(arguments="", call_id="c", name="plain"), *ENDS[0]])["output"]
    assert item["arguments"] == "{}"


def test_a_call_that_was_cut_is_never_told_as_done() -> None:
    """hazards 11 and 35: at a limit and at a break alike."""
    cut: list[AnyEvent] = [Tool(arguments='{"a": ', call_id="c", name="plain")]
    for end in (ENDS[1], ENDS[3]):
        events = events_of(rendered([*cut, *end]))
        assert not [event for event in events if event["type"].endswith(".done")]
    response = response_of([*cut, *ENDS[1]])
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}
    assert response["output"][0]["status"] == "incomplete"


@pytest.mark.parametrize(
    ("reason", "status", "details"),
    [
        ("stop", "completed", None),
        ("tool_calls", "completed", None),
        ("pause_turn", "completed", None),
        ("length", "incomplete", {"reason": "max_output_tokens"}),
        ("model_context_window_exceeded", "incomplete", {"reason": "max_output_tokens"}),
        ("content_filter", "incomplete", {"reason": "content_filter"}),
        ("refusal", "incomplete", {"reason": "content_filter"}),
    ],
)
def test_the_status_says_why_an_answer_ended(reason: str, status: str, details: Any) -> None:
    response = response_of([Text(text="a"), Finish(reason=reason), End(outcome="completed")])
    assert (response["status"], response["incomplete_details"]) == (status, details)
    assert response["output"][0]["status"] == status


def test_signatures_of_another_dialect_are_marked_and_kept() -> None:
    thinking = [
        Thinking(text="hm", signature=None),
        Thinking(text="", signature="sig", origin="anthropic-messages"),
        Thinking(text="", block=1, redacted="data", origin="anthropic-messages"),
    ]
    first, second = response_of([*thinking, *ENDS[0]])["output"]
    assert content_of(first) == "hm"
    assert first["encrypted_content"] == "tidegate:anthropic-messages:sig"
    assert second["encrypted_content"] == "tidegate-redacted:anthropic-messages:data"


def test_a_failure_is_told_in_both_forms_that_clients_look_for() -> None:
    failed = End(outcome="failed", error=Failure("broke", code="idle", param="p", status=504))
    events = events_of(rendered([Text(text="half"), failed]))
    error, last = events[-2:]
    assert {name: error[name] for name in ("type", "code", "message", "param")} == {
        "type": "error",
        "code": "idle",
        "message": "broke",
        "param": "p",
    }
    assert last["response"]["error"]["message"] == "broke"
    assert content_of(last["response"]["output"][0]) == "half"


def test_a_keep_alive_changes_nothing_and_takes_no_number() -> None:
    renderer = ResponsesStreamRenderer(header_for(RESPONSES, body=BODY))
    assert renderer.keep_alive() == b""
    body = renderer.render([Start(model="m")]) + renderer.keep_alive()
    body += renderer.render([Text(text="a")]) + renderer.keep_alive() + renderer.render([Text(text="b")])
    body += renderer.render(ENDS[0])
    assert renderer.keep_alive() == b""
    assert body.count(b"event: response.in_progress\n") == 1, "a client would forget its open item"
    assert body.count(b"event: keepalive\n") == 2
    events = events_of(body)
    check_lifecycle(events)
    assert b"".join(
        rendered([Start(model="m"), Text(text="a"), Text(text="b"), *ENDS[0]]).split(b"\n\n")
    ) == (b"".join(block for block in _without_keep_alives(body)))


def _without_keep_alives(body: bytes) -> list[bytes]:
    return [block for block in body.split(b"\n\n") if not block.startswith(b"event: keepalive\n")]


REQUIRED = {
    *("id", "object", "created_at", "completed_at", "status", "error", "incomplete_details", "model"),
    *("output", "usage", "instructions", "metadata", "tools", "tool_choice", "parallel_tool_calls", "text"),
    *("reasoning", "temperature", "top_p", "presence_penalty", "frequency_penalty", "top_logprobs"),
    *("max_output_tokens", "max_tool_calls", "service_tier", "safety_identifier", "prompt_cache_key"),
    *("background", "store", "truncation", "previous_response_id"),
}


def test_a_response_has_every_member_that_the_schema_requires() -> None:
    events = events_of(rendered([Start(model="m"), Text(text="a"), *ENDS[0]]))
    for response in (events[0]["response"], events[-1]["response"]):
        assert response.keys() >= REQUIRED
        assert response["instructions"] == "世界"
        assert response["metadata"] == {"k": "v"}
        assert response["tools"][2] == {**TOOLS[2], "description": None, "parameters": None, "strict": None}
    assert events[0]["response"]["completed_at"] is None
    assert events[-1]["response"]["completed_at"] == 1_700_000_000


def test_a_stream_that_was_asked_for_in_another_dialect_can_be_shown() -> None:
    header = header_for(load_dialect("openai-chat"), body=b'{"messages": [], "tools": [{"x": 1}]}')
    body = ResponsesStreamRenderer(header).render([Text(text="a"), *ENDS[0]])
    assert check_lifecycle(events_of(body))["tools"] == []
