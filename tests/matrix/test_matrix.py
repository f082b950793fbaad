"""Every client dialect over every upstream dialect, streamed and whole: one answer, and one honest end."""

from __future__ import annotations

import json

import pytest

from tests import messages, responses
from tests.chat import frame
from tests.gateway import Gateway
from tests.matrix.answer import CALLS, FAILURE, SIGNATURE, TEXT, THOUGHT, Answer
from tests.matrix.clients import CLIENTS, QUESTION
from tests.matrix.pairs import ask, in_both_forms, pairs, read, sent, without
from tests.matrix.said import Part, said
from tests.matrix.upstreams import script
from tests.raw_http import fetch
from tests.responses import Events
from tests.script import Script
from tests.upstream import Upstream


def answer(
    gateway: Gateway, upstream: Upstream, spoken: str, served: str, scenario: str, *, stream: bool
) -> Answer:
    upstream.play(script(served, scenario))
    return read(spoken, ask(gateway, spoken, served, stream=stream, scenario=scenario), stream=stream)


@pairs("text")
@in_both_forms
def test_text(matrix: Gateway, upstream: Upstream, spoken: str, served: str, streamed: bool) -> None:
    said = answer(matrix, upstream, spoken, served, "text", stream=streamed)
    assert (said.text, said.thinking, said.calls) == ("".join(TEXT), "", [])
    assert said.reason == "stop"
    assert said.ended
    assert (said.input_tokens, said.output_tokens, said.counted) == (11, 7, 1)
    assert QUESTION in upstream.request().body.decode()


@pairs("tools")
@in_both_forms
def test_tools(matrix: Gateway, upstream: Upstream, spoken: str, served: str, streamed: bool) -> None:
    said = answer(matrix, upstream, spoken, served, "tools", stream=streamed)
    assert [name for name, _ in said.calls] == [name for name, _ in CALLS]
    assert [json.loads(arguments) for _, arguments in said.calls] == [json.loads(each) for _, each in CALLS]
    if "gemini" not in (spoken, served) and (streamed or spoken != "anthropic-messages"):
        assert said.calls == list(CALLS), "the arguments are the upstream's, byte for byte"
    assert said.reason == "tool_calls"
    asked = upstream.request().body.decode()
    assert "get_weather" in asked
    assert "get_time" in asked


@pairs("thinking")
@in_both_forms
def test_thinking(matrix: Gateway, upstream: Upstream, spoken: str, served: str, streamed: bool) -> None:
    said = answer(matrix, upstream, spoken, served, "thinking", stream=streamed)
    assert said.thinking == "".join(THOUGHT)
    assert said.text == "".join(TEXT)
    if served in ("anthropic-messages", "openai-responses"):
        assert len(said.signatures) == 1


@pairs("signatures", served=without("openai-chat"))
def test_a_signature_comes_back_to_its_upstream_byte_for_byte(
    matrix: Gateway, upstream: Upstream, spoken: str, served: str
) -> None:
    """hazard 14: Chat has no signatures of its own."""
    scenario = "tools" if served == "gemini" else "thinking"
    upstream.play(script(served, scenario), script(served, "text"))
    first = ask(matrix, spoken, served, stream=False, scenario=scenario)
    body = CLIENTS[spoken].again(served, first.json)
    second = fetch(matrix.address, "POST", CLIENTS[spoken].path(served, stream=False), body)
    assert second.status == 200, second.body
    assert f'"{SIGNATURE}"' in upstream.request(1).body.decode()


UNSEEN = {
    ("anthropic-messages", "alone"): messages.thinking(0, [], SIGNATURE),
    ("anthropic-messages", "redacted"): messages.redacted(0, SIGNATURE),
}


def unseen(served: str, form: str) -> Script:
    """An answer whose thinking is nothing but what its upstream can read."""
    if served == "gemini":
        signed = {"parts": [{"text": "", "thoughtSignature": SIGNATURE}], "role": "model"}
        first = frame({"candidates": [{"index": 0, "content": signed}], "modelVersion": "mock"})
        return sent([first, *said(served, Part("text", TEXT))])
    if served == "openai-responses":
        return responses.stream(Events().reasoning([], SIGNATURE).text(TEXT).ended())
    return messages.stream(messages.answer(UNSEEN[served, form], messages.text(1, TEXT)))


@pairs("signatures", served=without("openai-chat"))
@pytest.mark.parametrize("form", ["alone", "redacted"])
def test_thinking_that_nobody_sees_comes_back_too(
    matrix: Gateway, upstream: Upstream, spoken: str, served: str, form: str
) -> None:
    """hazard 14: a signature without text, and thinking that is redacted, the same streamed and whole."""
    script = unseen(served, form)
    upstream.play(script, script, sent(said(served, Part("text", TEXT))))
    streamed = read(spoken, ask(matrix, spoken, served, stream=True), stream=True)
    first = ask(matrix, spoken, served, stream=False)
    whole = CLIENTS[spoken].whole(first.json)
    assert len(whole.signatures) == 1
    assert streamed.signatures == whole.signatures
    assert (streamed.text, streamed.thinking) == (whole.text, whole.thinking) == ("".join(TEXT), "")
    body = CLIENTS[spoken].again(served, first.json)
    second = fetch(matrix.address, "POST", CLIENTS[spoken].path(served, stream=False), body)
    assert second.status == 200, second.body
    assert f'"{SIGNATURE}"' in upstream.request(2).body.decode()


@pairs("tools")
def test_results_reach_the_upstream_beside_their_calls(
    matrix: Gateway, upstream: Upstream, spoken: str, served: str
) -> None:
    upstream.play(script(served, "tools"), script(served, "text"))
    first = ask(matrix, spoken, served, stream=False, scenario="tools")
    body = CLIENTS[spoken].again(served, first.json)
    second = fetch(matrix.address, "POST", CLIENTS[spoken].path(served, stream=False), body)
    assert second.status == 200, second.body
    asked = json.dumps(upstream.request(1).json, ensure_ascii=False)
    places = [asked.index(word) for word in (QUESTION, "Zürich", "result 0", "result 1", "And then?")]
    assert places == sorted(places)


@pairs("limits")
@in_both_forms
def test_an_answer_that_was_cut_at_its_limit(
    matrix: Gateway, upstream: Upstream, spoken: str, served: str, streamed: bool
) -> None:
    said = answer(matrix, upstream, spoken, served, "length", stream=streamed)
    assert said.reason == "length"
    assert said.text == "".join(TEXT)


@pairs("errors")
@pytest.mark.parametrize("scenario", ["broken", "truncated"])
def test_a_stream_that_breaks_ends_in_one_error(
    matrix: Gateway, upstream: Upstream, spoken: str, served: str, scenario: str
) -> None:
    said = answer(matrix, upstream, spoken, served, scenario, stream=True)
    assert said.text == "".join(TEXT)
    assert said.error is not None
    assert not said.ended
    if scenario == "broken":
        assert FAILURE in said.error


@pairs("errors")
@pytest.mark.parametrize("scenario", ["broken", "truncated"])
def test_a_whole_answer_that_breaks_is_an_error_with_a_status(
    matrix: Gateway, upstream: Upstream, spoken: str, served: str, scenario: str
) -> None:
    upstream.play(script(served, scenario))
    response = ask(matrix, spoken, served, stream=False, scenario=scenario)
    assert response.status >= 500
    assert CLIENTS[spoken].refusal(response.json)


@pairs("errors")
@in_both_forms
def test_a_refusal_keeps_its_status_and_words(
    matrix: Gateway, upstream: Upstream, spoken: str, served: str, streamed: bool
) -> None:
    upstream.play(script(served, "refused"))
    response = ask(matrix, spoken, served, stream=streamed, scenario="refused")
    assert response.status == 429
    assert response.head.get("retry-after") == "7"
    assert FAILURE in CLIENTS[spoken].refusal(response.json)
