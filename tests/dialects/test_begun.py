"""How upstreams of each dialect are asked to go on with the beginning of an answer, and which of them can."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tidegate.config import CONTINUES
from tidegate.core.request import Begun
from tidegate.dialects import Continuable, load_dialect
from tidegate.errors import Unsupported


def continuable(name: str) -> Continuable:
    dialect = load_dialect(name)
    assert isinstance(dialect, Continuable)
    return dialect


def written(name: str, fields: dict[str, Any], begun: Begun, way: str | None = None) -> Any:
    body = msgspec.json.encode(fields)
    return msgspec.json.decode(continuable(name).write_begun(body, begun, way))


@pytest.mark.parametrize(
    ("model", "can"),
    [
        ("claude-3-5-haiku-20241022", True),
        ("claude-sonnet-4-5-20250929", True),
        ("anthropic/claude-opus-4.1", True),
        ("claude-sonnet-4-6", False),
        ("us.anthropic.claude-opus-4-7-v1:0", False),
        ("claude-5-opus", False),
        ("claude-opus-latest", False),
        ("some-other-model", True),
    ],
)
def test_a_claude_goes_on_up_to_its_version(model: str, can: bool) -> None:
    messages = continuable("anthropic-messages")
    assert (messages.continues(model, "prefill") == "exactly") is can
    assert messages.continues(model, None) is None
    assert messages.continues(model, "none") is None


def test_each_way_of_chat_is_known_and_no_other() -> None:
    chat = continuable("openai-chat")
    assert {way: chat.continues("m", way) for way in CONTINUES} == {
        "continue_final_message": "exactly",
        "prefix": "echoing",
        "partial": "exactly",
        "prefill": "exactly",
        "none": None,
    }
    assert chat.continues("m", None) is None


def test_raw_text_is_always_gone_on_with() -> None:
    raw = continuable("openai-completions")
    assert (raw.continues("m", None), raw.continues("m", "none")) == ("exactly", None)
    assert written("openai-completions", {"prompt": "Once"}, Begun(" upon", 1))["prompt"] == "Once upon"
    assert written("openai-completions", {"prompt": ["Once"]}, Begun(" upon", 1))["prompt"] == "Once upon"
    for prompt in ([1, 2], ["a", "b"]):
        with pytest.raises(Unsupported):
            written("openai-completions", {"prompt": prompt}, Begun("x", 1))


@pytest.mark.parametrize("name", ["openai-responses", "gemini"])
def test_others_have_no_form_for_it(name: str) -> None:
    assert not isinstance(load_dialect(name), Continuable)


def test_a_limit_that_is_used_up_leaves_one_token() -> None:
    fields = {"messages": [], "max_tokens": 5, "max_completion_tokens": 50, "n_predict": -1, "min_tokens": 9}
    limits = written("openai-chat", fields, Begun("x", 8), "prefill")
    assert (limits["max_tokens"], limits["max_completion_tokens"]) == (1, 42)
    assert (limits["n_predict"], limits["min_tokens"]) == (-1, 1)


def test_where_only_white_space_was_shown_nothing_is_begun() -> None:
    asked = [{"role": "user", "content": "Hi"}]
    for name in ("openai-chat", "anthropic-messages"):
        assert written(name, {"messages": asked, "max_tokens": 9}, Begun("", 2), "prefill") == {
            "messages": asked,
            "max_tokens": 7,
        }


def test_what_stood_in_the_messages_stays_as_it_was() -> None:
    body = b'{"messages":[{"role":"user","content":"\\u00fc","x":1.50}],"seed":18446744073709551615}'
    chat = continuable("openai-chat")
    assert (
        chat.write_begun(body, Begun("\u00dc", 1), "prefix")
        == (
            '{"messages":[{"role":"user","content":"\\u00fc","x":1.50},'
            '{"role":"assistant","content":"\u00dc","prefix":true}],"seed":18446744073709551615}'
        ).encode()
    )
