"""How much to think, said at the end of a model's name, as an upstream is told it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chat_stream import body_for, post_chat, stream_chat
from tests.gateway import Gateway
from tests.matrix.upstreams import script
from tests.raw_http import fetch
from tests.upstream import Upstream


@pytest.mark.parametrize(
    ("suffix", "effort"),
    [("-high", "high"), ("-thinking", "medium"), ("-thinking-1000", "low"), ("-nothinking", "none")],
)
def test_upstream_is_told_the_effort(gateway: Gateway, upstream: Upstream, suffix: str, effort: str) -> None:
    body: dict[str, Any] = {"reasoning_effort": "low", "thinking": {"type": "disabled"}, "top_k": 5}
    stream_chat(gateway.address, model=f"m{suffix}", **body).succeeded()
    told = upstream.request().json
    assert (told["model"], told["reasoning_effort"], told["top_k"]) == ("mock", effort, 5)
    assert "thinking" not in told


def test_a_plain_name_leaves_the_body_alone(gateway: Gateway, upstream: Upstream) -> None:
    stream_chat(gateway.address, thinking={"type": "disabled"}, reasoning_effort="low").succeeded()
    told = upstream.request().json
    assert (told["reasoning_effort"], told["thinking"]) == ("low", {"type": "disabled"})


def test_such_names_are_not_listed(gateway: Gateway) -> None:
    names = [each["id"] for each in gateway.get("/v1/models")["data"]]
    assert not [name for name in names if name.endswith(("-high", "thinking"))]


def test_unknown_models_are_told_whole(gateway: Gateway) -> None:
    response = post_chat(gateway.address, body_for(model="nobody-high"))
    assert response.status == 404
    assert "'nobody-high'" in response.json["error"]["message"]


def asked_of_messages(gateway: Gateway, upstream: Upstream, **fields: Any) -> tuple[Any, str | None]:
    """What an upstream of the caller's own dialect is asked, and what the caller is told that it was not."""
    upstream.play(script("anthropic-messages", "text"))
    question = [{"role": "user", "content": "x"}]
    body = {"model": "c-high", "max_tokens": 4000, "messages": question, **fields}
    response = fetch(gateway.address, "POST", "/v1/messages", body)
    assert response.status == 200
    return upstream.request().json, response.head.get("tidegate-dropped")


def test_a_budget_leaves_room_for_the_answer(gateway: Gateway, upstream: Upstream) -> None:
    told, dropped = asked_of_messages(gateway, upstream)
    assert told["thinking"] == {"type": "enabled", "budget_tokens": 3000}
    assert dropped is None


def test_a_limit_too_small_to_think_in_is_told(gateway: Gateway, upstream: Upstream) -> None:
    """The least budget is 1024, and an upstream refuses a limit that is not larger."""
    told, dropped = asked_of_messages(gateway, upstream, max_tokens=1024)
    assert "thinking" not in told
    assert (told["max_tokens"], dropped) == (1024, "thinking")


def test_what_does_not_go_with_thinking_is_told(gateway: Gateway, upstream: Upstream) -> None:
    told, dropped = asked_of_messages(gateway, upstream, temperature=0.3, top_k=4, top_p=0.99)
    assert (told["top_p"], dropped) == (0.99, "temperature, top_k")
    assert not {"temperature", "top_k"} & told.keys()
