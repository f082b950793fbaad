"""An answer that breaks off after something was shown is gone on with, and its reader sees one answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.chat import chunk, error, stream, tool
from tests.chat_stream import LiveAnswer, body_for, start_chat, stream_chat
from tests.fixtures import StartGateway
from tests.gateway import Gateway, eventually
from tests.hazards.going_on import (
    ON_BREAK,
    PIECES,
    PROMPT_TOKENS,
    QUESTION,
    ROLE,
    SUCCESS,
    TEXT,
    ask,
    begun,
    breaks_after,
    config,
    rest,
    said,
)
from tests.raw_http import fetch
from tests.script import Close, CutChunk, Gate, Reach, Reset, Script, Stall
from tests.upstream import Request, Upstream

DIALECTS = tuple(SUCCESS)
WAYS = ("continue_final_message", "prefix", "partial", "prefill", "claude", "raw")
every_dialect = pytest.mark.parametrize("dialect", DIALECTS)


@pytest.fixture(scope="session")
def _healing(_shared_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    running = Gateway(tmp_path_factory.mktemp("healing"), config(_shared_upstream))
    yield running
    running.stop()


@pytest.fixture
def healing(_healing: Gateway, upstream: Upstream) -> Gateway:
    """This worker's gateway over upstreams that go on. The one that cannot is in health: it has answered."""
    stream_chat(_healing.address, model="alone").succeeded()
    upstream.reset()
    return _healing


def characters(pieces: tuple[str, ...]) -> int:
    return len("".join(pieces))


@every_dialect
def test_a_break_at_every_delta_is_not_seen(healing: Gateway, upstream: Upstream, dialect: str) -> None:
    """hazards 1, 25: one start, one terminal, every token once; the tokens of both; the seam told."""
    for count in range(1, len(PIECES) + 1):
        upstream.answer = breaks_after(count)
        upstream.requests.clear()
        read = ask(healing.address, dialect, "prefill")
        assert read.text == TEXT, count
        assert read.terminals == [SUCCESS[dialect]]
        shown = "".join(PIECES[:count])
        assert read.seams == [{"seq": count + 1, "characters": len(shown), "error": "upstream_error"}]
        left = len(rest(shown.rstrip()))
        assert read.usage == (max(PROMPT_TOKENS - count, 0), count + left)
        first, second = upstream.requests
        assert (begun(first), begun(second)) == (None, shown.rstrip())


@every_dialect
def test_a_whole_answer_is_healed_as_well(healing: Gateway, upstream: Upstream, dialect: str) -> None:
    upstream.answer = breaks_after(4)
    read = ask(healing.address, dialect, "prefill", stream=False)
    assert read.text == TEXT
    assert read.seams is not None


@every_dialect
def test_without_a_break_nothing_is_told(healing: Gateway, upstream: Upstream, dialect: str) -> None:
    upstream.answer = lambda request: said(request, PIECES)
    read = ask(healing.address, dialect, "prefill")
    assert (read.text, read.seams) == (TEXT, None)


@pytest.mark.parametrize("way", WAYS)
@every_dialect
def test_every_way_to_go_on(healing: Gateway, upstream: Upstream, dialect: str, way: str) -> None:
    """hazard 25: what an upstream is asked that goes on in this way."""
    upstream.answer = breaks_after(3)
    read = ask(healing.address, dialect, way, **(limit(dialect)))
    assert read.text == TEXT
    first, second = upstream.requests
    asked = second.json
    if dialect == "openai-completions" and way != "claude":
        assert asked["prompt"] == QUESTION + "One, two; drei 漢字"
        return
    if way == "raw":
        assert asked["prompt"].endswith("One, two; drei 漢字")
        return
    *before, last = asked["messages"]
    assert (last["role"], last["content"]) == ("assistant", "One, two; drei 漢字")
    assert way == "claude" or before == first.json["messages"]
    assert last.get("prefix") is (True if way == "prefix" else None)
    assert last.get("partial") is (True if way == "partial" else None)
    final = True if way == "continue_final_message" else None
    assert asked.get("continue_final_message") is final
    assert asked.get("add_generation_prompt") is (False if final else None)
    assert second.path == ("/v1/messages" if way == "claude" else "/v1/chat/completions")


def limit(dialect: str) -> dict[str, Any]:
    """A limit of 50 tokens, in the words of a dialect."""
    if dialect == "gemini":
        return {"generationConfig": {"maxOutputTokens": 50}}
    return {"max_output_tokens" if dialect == "openai-responses" else "max_tokens": 50}


@pytest.mark.parametrize("way", ["prefill", "claude", "raw"])
@every_dialect
def test_less_is_left_of_the_limit(healing: Gateway, upstream: Upstream, dialect: str, way: str) -> None:
    upstream.answer = breaks_after(3)
    ask(healing.address, dialect, way, **limit(dialect))
    assert upstream.requests[-1].json["max_tokens"] == 47


def test_the_rest_of_a_chat_request_is_as_it_came(healing: Gateway, upstream: Upstream) -> None:
    """Fields that nobody knows pass through a second time."""
    upstream.answer = breaks_after(2)
    more: dict[str, Any] = {"temperature": 0.25, "custom": {"deep": [1, None]}, "stop": ["~~~"]}
    ask(healing.address, "openai-chat", "prefill", **more)
    first, second = (dict(each.json) for each in upstream.requests)
    assert second.pop("messages")[:-1] == first.pop("messages")
    assert first == second


@pytest.mark.parametrize("breaking", [Close(), Reset(), CutChunk()], ids=["FIN", "RST", "cut chunk"])
def test_however_it_breaks(healing: Gateway, upstream: Upstream, breaking: Any) -> None:
    """hazard 1: the three ways in which connections end."""
    upstream.answer = breaks_after(3, breaking)
    assert stream_chat(healing.address, model="prefill").succeeded().text() == TEXT


def test_an_error_in_mid_stream_is_a_break(healing: Gateway, upstream: Upstream) -> None:
    overloaded = {"error": {"message": "overloaded", "type": "overloaded_error", "code": "busy"}}
    broken = stream([ROLE, chunk(PIECES[0]), overloaded], done=False)
    upstream.answer = lambda request: broken if begun(request) is None else breaks_after(0)(request)
    assert stream_chat(healing.address, model="prefill").succeeded().text() == TEXT


def test_silence_is_a_break(healing: Gateway, upstream: Upstream) -> None:
    """hazard 26: the idle deadline counts as one."""
    upstream.answer = breaks_after(3, Stall())
    read = ask(healing.address, "openai-chat", "restless")
    assert read.text == TEXT
    assert read.seams is not None
    assert read.seams[0]["error"] == "idle"


def test_two_breaks_in_a_row(healing: Gateway, upstream: Upstream) -> None:
    def answer(request: Request) -> Script:
        beginning = begun(request)
        if beginning is None:
            return said(request, PIECES[:2], Close())
        left = rest(beginning)
        return said(request, left[:2], Close()) if len(left) > 6 else said(request, left)

    upstream.answer = answer
    read = ask(healing.address, "openai-chat", "twice")
    assert read.text == TEXT
    assert read.seams is not None
    assert [seam["seq"] for seam in read.seams] == sorted({seam["seq"] for seam in read.seams})
    assert len(read.seams) >= 2
    assert len(read.seams) == len(upstream.requests) - 1


def test_before_the_first_new_delta_the_next_is_asked(healing: Gateway, upstream: Upstream) -> None:
    refusals = iter([error(503, "no capacity", kind="overloaded_error")])

    def answer(request: Request) -> Script:
        if begun(request) is None:
            return said(request, PIECES[:3], Close())
        return next(refusals, None) or breaks_after(0)(request)

    upstream.answer = answer
    read = ask(healing.address, "openai-chat", "twice")
    assert read.text == TEXT
    assert read.seams is not None
    assert len(read.seams) == 1
    assert len(upstream.requests) == 3


def test_a_beginning_that_is_repeated_is_shown_once(healing: Gateway, upstream: Upstream) -> None:
    """hazard 25: as Mistral does, however little was shown."""

    def answer(request: Request) -> Script:
        beginning = begun(request)
        if beginning is None:
            return said(request, PIECES[:count], Close())
        return said(request, list(beginning) + rest(beginning))

    upstream.answer = answer
    for shown in range(1, len(PIECES)):
        count = shown
        assert ask(healing.address, "openai-chat", "prefix").text == TEXT


def test_an_answer_that_begins_anew_is_not_shown(healing: Gateway, upstream: Upstream) -> None:
    """hazard 25: an upstream that takes the beginning for history; the break itself is told."""
    shown = "Streams end once, and truly, wherever they break. "

    def answer(request: Request) -> Script:
        return said(request, [shown], Close()) if begun(request) is None else said(request, [shown[:30], "!"])

    upstream.answer = answer
    read = stream_chat(healing.address, model="prefill")
    assert read.text() == shown
    assert read.failed()
    assert len(upstream.requests) == 2


CALL = tool(0, '{"a":', call_id="call_1", name="f")
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]

NOT_SPLICED: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "a tool call under way": ([chunk("x"), chunk(tool_calls=[CALL])], {"tools": TOOLS}),
    "thinking": ([chunk(reasoning="hm"), chunk("x")], {}),
    "thinking under way": ([chunk(reasoning="hm")], {}),
    "a refusal": ([chunk(delta={"refusal": "I"})], {}),
    "JSON": ([chunk('{"a"')], {"response_format": {"type": "json_object"}}),
    "logprobs": ([chunk("x")], {"logprobs": True}),
    "two choices": ([chunk("x"), chunk("y", index=1)], {"n": 2}),
    "a required call": ([chunk("x")], {"tools": TOOLS, "tool_choice": "required"}),
    "half a stop sequence": ([chunk("x EN")], {"stop": ["END"]}),
}


@pytest.mark.parametrize("what", NOT_SPLICED)
def test_what_cannot_be_spliced_ends_in_one_error(healing: Gateway, upstream: Upstream, what: str) -> None:
    """hazard 25: never a splice in the midst of a call, of thinking, or of anything that is bound."""
    shown, more = NOT_SPLICED[what]
    upstream.answer = lambda _: [*stream([ROLE, *shown], done=False)[:-1], Close()]
    assert stream_chat(healing.address, model="prefill", **more).failed()
    assert len(upstream.requests) == 1


def test_tools_that_were_not_called_do_no_harm(healing: Gateway, upstream: Upstream) -> None:
    upstream.answer = breaks_after(3)
    answer = stream_chat(healing.address, QUESTION, model="prefill", tools=TOOLS).succeeded()
    assert answer.text() == TEXT
    assert upstream.requests[1].json["tools"] == TOOLS


@pytest.mark.parametrize("model", ["alone", "never", "others"])
@every_dialect
def test_without_a_candidate_the_stream_ends_in_one_error(
    healing: Gateway, upstream: Upstream, dialect: str, model: str
) -> None:
    """hazard 31: nobody goes on, the route does not want it, or only another model could."""
    upstream.answer = breaks_after(3)
    read = ask(healing.address, dialect, model)
    assert read.text == "".join(PIECES[:3])
    assert SUCCESS[dialect] not in read.terminals
    assert len(upstream.requests) == 1


def test_a_label_makes_models_the_same(healing: Gateway, upstream: Upstream) -> None:
    upstream.answer = breaks_after(3)
    assert stream_chat(healing.address, model="labelled").succeeded().text() == TEXT
    assert [each.json["model"] for each in upstream.requests] == ["mock", "another"]


@pytest.mark.parametrize(
    ("model", "word", "heals"), [("prefill", "fail", False), ("never", "continue", True)]
)
def test_a_request_decides_for_itself(
    healing: Gateway, upstream: Upstream, model: str, word: str, heals: bool
) -> None:
    """hazard 40: a wish of the request holds in mid-stream too."""
    upstream.answer = breaks_after(3)
    read = ask(healing.address, "openai-chat", model, headers={ON_BREAK: word})
    assert read.text == (TEXT if heals else "".join(PIECES[:3]))
    assert read.terminals == (["[DONE]"] if heals else ["error"])


@pytest.mark.parametrize("shown", [0, 3])
def test_no_fallback_means_none(healing: Gateway, upstream: Upstream, shown: int) -> None:
    """hazard 40: before anything was shown and after."""
    upstream.answer = breaks_after(shown)
    headers = {"Tidegate-Fallback": "none"}
    with start_chat(healing.address, body_for(QUESTION, model="prefill"), headers) as connection:
        response = connection.read_response()
    assert response.status == (200 if shown else 502)
    assert len(upstream.requests) == 1


def test_another_word_is_refused(healing: Gateway, upstream: Upstream) -> None:
    response = fetch(healing.address, "POST", "/v1/chat/completions", body_for(), headers={ON_BREAK: "heal"})
    assert response.status == 400
    assert "Tidegate-On-Break must be one of continue, fail" in response.json["error"]["message"]


def test_a_client_that_leaves_in_the_seam_stops_it(healing: Gateway, upstream: Upstream) -> None:
    """hazard 2: also while another upstream is asked to go on, before it has said anything."""
    asked = Gate()
    upstream.answer = lambda request: (
        said(request, PIECES[:3], Close()) if begun(request) is None else [Reach(asked), Stall()]
    )
    with LiveAnswer(healing.address, body_for(QUESTION, model="prefill")) as live:
        live.read_past("drei")
        asked.wait()
    upstream.request(1).connection.wait_closed()
    eventually(lambda: healing.get("/readyz") is not None, "the gateway lives")
    assert len(upstream.requests) == 2


def test_an_answer_in_many_pieces_is_healed_in_bounded_time(healing: Gateway, upstream: Upstream) -> None:
    """A long echo is compared, not stored by the piece: 20,000 characters repeated one by one."""
    begin = " ".join(f"word{number}" for number in range(2500))

    def answer(request: Request) -> Script:
        beginning = begun(request)
        if beginning is None:
            return said(request, [begin], Close())
        return said(request, [*(beginning[at : at + 20] for at in range(0, len(beginning), 20)), " end"])

    upstream.answer = answer
    assert ask(healing.address, "openai-chat", "prefix").text == begin + " end"


def test_deepseek_is_asked_at_another_path(upstream: Upstream, start_gateway: StartGateway) -> None:
    """The preset says where: /beta, whatever else its base URL is."""
    gateway = start_gateway(config(upstream))
    upstream.answer = breaks_after(3)
    assert ask(gateway.address, "openai-chat", "deepseek").text == TEXT
    assert [each.path for each in upstream.requests] == ["/v1/chat/completions", "/beta/chat/completions"]
    assert upstream.requests[1].json["messages"][-1]["prefix"] is True
