"""How much to think, said at the end of a model's name, as an upstream is told it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chat_stream import body_for, post_chat, stream_chat
from tests.gateway import Gateway
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
