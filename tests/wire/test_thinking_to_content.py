"""`thinking_to_content`, for a model or in a request, from an upstream to a client."""

from __future__ import annotations

import pytest

from tests.chat import chunk, stream
from tests.chat_stream import body_for, post_chat, stream_chat
from tests.fixtures import StartGateway
from tests.gateway import Gateway, gateway_config
from tests.upstream import Upstream

THINKS = stream(
    [chunk(reasoning="hm "), chunk(reasoning="hm"), chunk("So "), chunk("it is"), chunk(finish="stop")]
)
SHOWN = "<think>\nhm hm\n</think>\nSo it is"


def test_a_request_asks_for_it(gateway: Gateway, upstream: Upstream) -> None:
    upstream.play(THINKS, THINKS)
    answer = stream_chat(gateway.address, thinking_to_content=True).succeeded()
    assert (answer.text(), answer.text(name="reasoning_content")) == (SHOWN, "")
    whole = post_chat(gateway.address, body_for(stream=False, thinking_to_content=True)).json
    assert whole["choices"][0]["message"] == {"role": "assistant", "content": SHOWN}
    assert not [each for each in upstream.requests if "thinking_to_content" in each.json]


def test_a_model_does_it_unless_a_request_says_otherwise(
    start_gateway: StartGateway, upstream: Upstream
) -> None:
    upstream.play(THINKS, THINKS)
    models = {"shows": {"use": ["up/mock"], "thinking_to_content": True}}
    running = start_gateway(gateway_config(upstream.url, models=models))
    assert stream_chat(running.address, model="shows").succeeded().text() == SHOWN
    answer = stream_chat(running.address, model="shows", thinking_to_content=False).succeeded()
    assert (answer.text(), answer.text(name="reasoning_content")) == ("So it is", "hm hm")


@pytest.mark.parametrize("value", ["yes", 1, []])
def test_anything_but_a_boolean_is_a_mistake(gateway: Gateway, value: object) -> None:
    response = post_chat(gateway.address, body_for(thinking_to_content=value))
    assert (response.status, response.json["error"]["param"]) == (400, "thinking_to_content")
