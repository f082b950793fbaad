"""The other agents that come with the gateway."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.chat import text_stream
from tests.chat_stream import ChatAnswer, body_for, post_chat, stream_chat
from tests.gateway import Gateway
from tests.properties import examples
from tests.script import Script
from tests.upstream import Request, Upstream
from tidegate.agents.builtin.translate_document import pieces_of


def echo(request: Request) -> Script:
    """Says which question it was."""
    return text_stream([f"<{request.json['messages'][-1]['content'][-40:]}>"])


def refusal(gateway: Gateway, model: str, text: str, **more: Any) -> Any:
    """The error of a request that was refused before anything was said."""
    response = post_chat(gateway.address, body_for(text, model=model, **more))
    assert response.status == 400
    return response.json["error"]


def ask(gateway: Gateway, model: str, text: str, **more: Any) -> ChatAnswer:
    return stream_chat(gateway.address, text, model=model, **more)


def test_models_are_compared_side_by_side(gateway: Gateway, upstream: Upstream) -> None:
    upstream.answer = lambda _: text_stream(["Four."])
    text = ask(gateway, "compare", "2+2?", models=["m", "again"]).succeeded().text()
    assert text.startswith("## m\n\nFour.\n\n## again\n\nFour.\n\n| model")
    assert "| again | 11 | 7 |" in text


@pytest.mark.parametrize("models", [None, ["m"], "m"])
def test_without_models_nothing_is_compared(gateway: Gateway, models: Any) -> None:
    assert refusal(gateway, "compare", "2+2?", models=models)["code"] == "no_models"


def test_an_unknown_model_is_told_with_its_name(gateway: Gateway, upstream: Upstream) -> None:
    upstream.answer = echo
    assert "'nobody'" in ask(gateway, "compare", "2+2?", models=["m", "nobody"]).failed()["message"]


def test_each_side_of_a_debate_reads_the_other(gateway: Gateway, upstream: Upstream) -> None:
    words = iter(["Tides are good.", "Tides are wet.", "Wet is good.", "Enough."])
    upstream.answer = lambda _: text_stream([next(words)])
    text = ask(gateway, "debate", "Tides", models=["m", "again"]).succeeded().text()
    assert text == (
        "# Tides\n\n\n## For, round 1\n\nTides are good.\n\n## Against, round 1\n\nTides are wet."
        "\n\n## For, round 2\n\nWet is good.\n\n## Against, round 2\n\nEnough.\n"
    )
    last = upstream.requests[-1].json["messages"][0]["content"]
    assert "For: Tides are good.\n\nAgainst: Tides are wet.\n\nFor: Wet is good." in last


@pytest.mark.parametrize("options", [{"rounds": 0}, {"rounds": "x"}, {"models": ["m"]}])
def test_a_debate_that_cannot_be_is_refused(gateway: Gateway, options: dict[str, Any]) -> None:
    assert refusal(gateway, "debate", "Tides", **options)["type"] == "agent_error"


def test_a_document_is_translated_in_pieces_and_in_order(gateway: Gateway, upstream: Upstream) -> None:
    paragraphs = [f"{number} " + "word " * 500 for number in range(4)]

    def translate(request: Request) -> Script:
        piece = request.json["messages"][0]["content"].partition("<text>\n")[2]
        return text_stream([f"Stück {piece[0]}"])

    upstream.answer = translate
    answer = ask(gateway, "translate_document", "\n\n".join(paragraphs), language="German").succeeded()
    assert answer.text() == "Stück 0\n\nStück 1\n\nStück 2\n\nStück 3"


def test_the_language_is_found_in_the_text(gateway: Gateway, upstream: Upstream) -> None:
    def translate(request: Request) -> Script:
        asked = request.json["messages"][0]["content"]
        if "Into which language" in asked:
            return text_stream([json.dumps({"language": "French", "instruction": "Into French, please"})])
        assert "into French" in asked
        return text_stream([asked.partition("<text>\n")[2].partition("\n</text>")[0].upper()])

    upstream.answer = translate
    assert ask(gateway, "translate_document", "Into French, please: hello").succeeded().text() == "HELLO"


@examples(60)
@given(
    st.lists(st.sampled_from(["word " * 300, "```\ncode", "end\n```", "# title", "x" * 4000]), max_size=12)
)
def test_no_text_is_lost_between_pieces(paragraphs: list[str]) -> None:
    text = "\n\n".join(paragraphs)
    assert "\n\n".join(pieces_of(text)) == text


def test_write_tutorial_works_before_the_first_key(gateway: Gateway) -> None:
    """The demo model says what fits the outline, so that the whole way is shown."""
    answer = ask(gateway, "write_tutorial", "MySQL", agent_model="demo").succeeded()
    assert answer.text().startswith("# A demo\n\n\n## A demo\n\nThis is the demo model")
