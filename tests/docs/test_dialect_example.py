"""The dialect that docs/how-to/dialect.md builds works as it stands there, both ways."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

from tests.dialects.recorded import header_for
from tests.docs.examples import blocks
from tidegate.core.event import AnyEvent, End, Failure, Finish, Start, Text
from tidegate.core.usage import Usage
from tidegate.dialects import Dialect, load_dialect, translate
from tidegate.errors import Broken, InvalidRequest, Rejected

ANSWER: list[AnyEvent] = [
    Start(),
    Text(text="Hel"),
    Text(text="lo 世界"),
    Finish(reason="stop"),
    End(outcome="completed", usage=Usage(output_tokens=2)),
]


@pytest.fixture
def lines() -> Iterator[Dialect]:
    """The dialect, found by its name like any other."""
    name = "tidegate.dialects.text_lines"
    module = ModuleType(name)
    pieces = [block for block in blocks() if "dialect" in block.words]
    assert {block.document for block in pieces} == {"docs/how-to/dialect.md"}
    sys.modules[name] = module
    exec("\n".join(block.text for block in pieces), module.__dict__)
    yield load_dialect("text-lines")
    del sys.modules[name]
    load_dialect.cache_clear()


def test_it_shows_an_answer_and_reads_it_again(lines: Dialect) -> None:
    body = lines.renderer(header_for(lines)).render(ANSWER)
    assert body.isascii()
    for size in (1, 5, len(body)):
        events: list[AnyEvent] = []
        decoder = lines.decoder(1000)
        for at in range(0, len(body), size):
            decoder.feed(body[at : at + size], events)
        assert events == ANSWER


def test_it_ends_honestly(lines: Dialect) -> None:
    broken = End(outcome="failed", error=Failure("it broke"))
    body = lines.renderer(header_for(lines)).render([*ANSWER[:2], broken])
    events: list[AnyEvent] = []
    with pytest.raises(Rejected, match="it broke"):
        lines.decoder(1000).feed(body, events)
    assert events == ANSWER[:2]
    with pytest.raises(Broken):
        lines.decoder(1000).finish([])


def test_its_clients_reach_chat_upstreams_and_its_upstreams_chat_clients(lines: Dialect) -> None:
    chat = load_dialect("openai-chat")
    asked = lines.read_request(b'{"prompt": "Hi", "limit": 9}')
    body, dropped = translate(asked, chat, "theirs", frozenset())
    assert json.loads(body)["messages"] == [{"role": "user", "content": "Hi"}]
    assert json.loads(body)["max_tokens"] == 9
    assert dropped == ()
    question = b'{"messages": [{"role": "user", "content": "Hi"}], "seed": 1, "max_tokens": 9}'
    body, dropped = translate(chat.read_request(question), lines, "theirs", frozenset())
    assert json.loads(body) == {"model": "theirs", "prompt": "Hi", "limit": 9}
    assert dropped == ("seed",)


def test_what_is_wrong_with_a_request_is_said(lines: Dialect) -> None:
    with pytest.raises(InvalidRequest, match="'prompt' is missing"):
        lines.read_request(b"{}")
