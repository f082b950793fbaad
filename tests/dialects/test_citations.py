"""Pages that an answer cites are told in every dialect that has a form for them, and once."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest

from tests.dialects.recorded import header_for
from tests.responses import check_lifecycle, events_of
from tidegate.core.event import AnyEvent, End, Finish, Item, Start, Text, Tool
from tidegate.dialects import load_dialect, translate
from tidegate.dialects.translation.citations import CITATION, cited

NAMES = ("openai-chat", "openai-responses", "anthropic-messages", "gemini")
URL, TITLE = "https://example.com/tides", "Tides"
LIMIT = 1 << 20


def answer(upstream: str) -> list[AnyEvent]:
    """What an upstream's decoder tells of an answer that cites a page twice."""
    pages = [*cited(upstream, URL, TITLE, start=0, end=4), *cited(upstream, f"{URL}?2", None)]
    last: list[AnyEvent] = [Finish(reason="stop"), End(outcome="completed")]
    begin: list[AnyEvent] = [Start(), Text(text="The "), Text(text="moon.")]
    return [*begin, *pages, *last]


def read(name: str, body: bytes, *, streamed: bool) -> list[AnyEvent]:
    events: list[AnyEvent] = []
    decoder = load_dialect(name).decoder(LIMIT)
    if streamed:
        decoder.feed(body, events)
        decoder.finish(events)
    else:
        decoder.whole(body, events)
    return events


def pages_of(events: Iterable[AnyEvent]) -> list[tuple[str, str]]:
    items = (event.value for event in events if isinstance(event, Item) and event.kind == CITATION)
    return [(value["url"], value["title"]) for value in items]


def shown(name: str, events: list[AnyEvent], *, streamed: bool) -> bytes:
    renderer = load_dialect(name).renderer(header_for(load_dialect(name), stream=streamed))
    return b"".join(renderer.render((event,)) for event in events)


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("client", NAMES)
@pytest.mark.parametrize("upstream", NAMES)
def test_pages_are_told_in_every_dialect(upstream: str, client: str, streamed: bool) -> None:
    if upstream == client:
        pytest.skip("told in the dialect's own words")
    body = shown(client, answer(upstream), streamed=streamed)
    again = read(client, body, streamed=streamed)
    assert pages_of(again) == [(URL, TITLE), (f"{URL}?2", "")]
    assert "".join(event.text for event in again if isinstance(event, Text)) == "The moon."
    if client == "openai-responses" and streamed:
        check_lifecycle(events_of(body))


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_what_a_dialect_has_in_its_own_words_is_not_told_again(name: str, streamed: bool) -> None:
    assert URL.encode() not in shown(name, answer(name), streamed=streamed)


@pytest.mark.parametrize("name", NAMES)
def test_a_page_that_nothing_was_said_before_changes_no_answer(name: str) -> None:
    """There may be no text to note it on."""
    page = cited("events", URL)
    call = Tool(arguments="{}", block=1, call_id="c", name="f")
    begins: list[list[AnyEvent]] = [[Start()], [Start(), call]]
    for begin in begins:
        events: list[AnyEvent] = [*begin, *page, Finish(reason="stop"), End(outcome="completed")]
        for streamed in (True, False):
            assert isinstance(read(name, shown(name, events, streamed=streamed), streamed=streamed)[-1], End)


@pytest.mark.parametrize("wrong", [None, 3, [None, 3, {}], {}, [{"url": 3}]])
def test_citations_of_another_shape_are_no_pages(wrong: Any) -> None:
    chunk = {"choices": [{"index": 0, "delta": {"content": "x", "annotations": wrong}}]}
    events: list[AnyEvent] = []
    load_dialect("openai-chat").decoder(LIMIT).feed(b"data: %b\n\n" % json.dumps(chunk).encode(), events)
    assert pages_of(events) == []


def test_claude_is_not_given_pages_that_it_did_not_find() -> None:
    """A client gives the whole turn back, and Anthropic refuses a mark that is none of its own."""
    messages = load_dialect("anthropic-messages")
    whole = json.loads(shown("anthropic-messages", answer("openai-chat"), streamed=False))
    assert len(whole["content"][0]["citations"]) == 2
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": whole["content"]}]
    request = messages.read_request(json.dumps({"max_tokens": 9, "messages": turns}).encode())
    written = json.loads(translate(request, messages, "theirs", frozenset()).body)
    assert written["messages"][1]["content"][0] == {"type": "text", "text": "The moon.", "citations": None}
