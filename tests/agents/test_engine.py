"""An agent over a real llama.cpp engine: schema, text and usage of a model on this machine."""

from __future__ import annotations

import importlib.util
import json

import pytest

from tests.chat_stream import stream_chat
from tests.fixtures import StartGateway
from tests.tiny_gguf import TinyModel, shared_tiny_gguf

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("xllamacpp") is None, reason="needs xllamacpp"),
    pytest.mark.timeout(180),
]

OUTLINE = '{"title":"Tides","sections":[{"title":"Moon"}]}'


def test_a_tutorial_is_written_by_a_model_on_this_machine(
    start_gateway: StartGateway, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = shared_tiny_gguf(tmp_path_factory, TinyModel(script=OUTLINE, context=32768))
    models = {"local": {"gguf": str(path), "threads": 1, "slots": 2}}
    gateway = start_gateway({"models": models, "default_model": "local"})
    answer = stream_chat(
        gateway.address, "Tides", model="write_tutorial", stream_options={"include_usage": True}
    )
    text = answer.succeeded().text()
    assert text.startswith("# Tides\n\n\n## Moon\n\n")
    assert json.loads(text.rpartition("## Moon\n\n")[2]) == json.loads(OUTLINE)
    assert answer.usages[0]["completion_tokens"] > 10
