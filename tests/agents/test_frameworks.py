"""Agents of pydantic-ai, LangGraph and the OpenAI Agents SDK as models, each asking a real server."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.agents.test_tools import calling, results
from tests.chat import error, frame, text_stream
from tests.chat_stream import ChatAnswer, body_for, post_chat, stream_chat
from tests.gateway import Gateway, gateway_config
from tests.script import Send
from tests.upstream import Upstream
from tests.wire.test_ledger import row_of
from tidegate.agents.adapters.frameworks import framework_agent
from tidegate.errors import ConfigError

pytestmark = pytest.mark.skipif(
    not all(map(find_spec, ("pydantic_ai", "langgraph", "langchain_openai", "agents"))),
    reason="a framework is not installed (extra test)",
)

MODELS = {"pydantic": "pydantic_agent", "typed": "typed_agent", "sdk": "sdk_agent", "graph": "graph"}
ALL = ["pydantic", "sdk", "graph"]
SOURCE = Path(__file__).with_name("framework_agents.py")


@pytest.fixture(scope="module")
def _frameworks(tmp_path_factory: pytest.TempPathFactory, _shared_upstream: Upstream) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("frameworks")
    shutil.copy(SOURCE, folder / "framework_agents.py")
    models: dict[str, Any] = {name: {"agent": f"framework_agents:{place}"} for name, place in MODELS.items()}
    models["here"] = models["pydantic"] | {"options": {"asks_here": True}}
    there = {"FRAMEWORK_BASE_URL": f"{_shared_upstream.url}/v1"}
    running = Gateway(folder, gateway_config(_shared_upstream.url, models=models), environment=there)
    yield running
    running.stop()


@pytest.fixture
def frameworks(_frameworks: Gateway) -> Gateway:
    return _frameworks


def ask(gateway: Gateway, model: str, text: str = "How is Rome?", **more: Any) -> ChatAnswer:
    return stream_chat(gateway.address, text, model=model, **more).succeeded()


@pytest.mark.parametrize("model", ALL)
def test_its_text_is_streamed_and_its_tools_are_told(
    frameworks: Gateway, upstream: Upstream, model: str
) -> None:
    upstream.play(calling(("weather", '{"city": "Rome"}')), text_stream(["It ", "rains", "."]))
    answer = ask(frameworks, model)
    assert answer.text() == "It rains."
    pieces = [choice["delta"].get("content") for choice in answer.choices()]
    assert [piece for piece in pieces if piece] == ["It ", "rains", "."]
    assert results(upstream.requests[1]) == {"call_0": "Rome: rain"}
    thinking = answer.text(name="reasoning_content")
    assert "→ weather(" in thinking
    assert "Rome: rain\n" in thinking


@pytest.mark.parametrize("model", ALL)
def test_what_was_said_before_is_handed_on(frameworks: Gateway, upstream: Upstream, model: str) -> None:
    upstream.play(text_stream(["Yes."]))
    before = [
        {"role": "user", "content": "Is it Rome?"},
        {"role": "assistant", "content": "It is."},
        {"role": "user", "content": "Sure?"},
    ]
    assert ask(frameworks, model, messages=before).text() == "Yes."
    said = [each for each in upstream.requests[0].json["messages"] if each["role"] != "system"]
    assert [(each["role"], _content(each)) for each in said] == [
        (each["role"], each["content"]) for each in before
    ]


def _content(message: dict[str, Any]) -> str:
    content = message["content"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


@pytest.mark.parametrize("model", ALL)
def test_what_it_spends_is_counted_as_its_own(frameworks: Gateway, upstream: Upstream, model: str) -> None:
    usage = {"prompt_tokens": 20, "completion_tokens": 6, "total_tokens": 26}
    upstream.play(text_stream(["Yes."], usage=usage))
    response = post_chat(frameworks.address, body_for("x", model=model, stream=False))
    row = row_of(frameworks, response.head.get("tidegate-stream"))
    assert (row.input_tokens, row.output_tokens, row.estimated) == (20, 6, False)
    assert response.json["usage"]["total_tokens"] == 26


def test_what_it_asks_here_is_counted_where_it_asks(frameworks: Gateway, upstream: Upstream) -> None:
    usage = {"prompt_tokens": 20, "completion_tokens": 6, "total_tokens": 26}
    upstream.play(text_stream(["Yes."], usage=usage))
    response = post_chat(frameworks.address, body_for("x", model="here", stream=False))
    row = row_of(frameworks, response.head.get("tidegate-stream"))
    assert (row.input_tokens, row.output_tokens) == (0, 0)
    assert response.json["usage"]["total_tokens"] == 26


def test_a_run_that_is_cut_is_counted_too(frameworks: Gateway, upstream: Upstream) -> None:
    usage = {"prompt_tokens": 20, "completion_tokens": 6, "total_tokens": 26}
    calls = calling(("weather", '{"city": "Rome"}'))
    told = Send(frame({"choices": [], "usage": usage}))
    upstream.play([*calls[:-2], told, *calls[-2:]], error(401, "no such key"))
    response = post_chat(frameworks.address, body_for("x", model="pydantic", stream=False))
    row = row_of(frameworks, response.head.get("tidegate-stream"))
    assert (row.outcome, row.input_tokens, row.output_tokens) == ("failed", 20, 6)


@pytest.mark.parametrize("model", ALL)
def test_its_failure_ends_the_answer_honestly(frameworks: Gateway, upstream: Upstream, model: str) -> None:
    upstream.answer = lambda _: error(401, "no such key")
    response = post_chat(frameworks.address, body_for("x", model=model, stream=False))
    assert response.status == 502
    assert "failed with" in response.json["error"]["message"]


def test_an_output_of_a_type_of_its_own_is_json(frameworks: Gateway, upstream: Upstream) -> None:
    upstream.play(calling(("final_result", '{"city": "Rome", "rain": true}')))
    assert json.loads(ask(frameworks, "typed").text()) == {"city": "Rome", "rain": True}


def test_what_is_no_agent_is_refused_with_its_type() -> None:
    with pytest.raises(ConfigError, match="json:JSONDecodeError is a type, and neither"):
        framework_agent("x", "json:JSONDecodeError")
    with pytest.raises(ConfigError, match="there_is_no:such cannot be loaded: ModuleNotFoundError"):
        framework_agent("x", "there_is_no:such")


def test_a_class_of_ones_own_is_known_by_what_it_inherits_from(monkeypatch: pytest.MonkeyPatch) -> None:
    from pydantic_ai import Agent

    class Mine(Agent[None, str]):  # type: ignore[misc]
        pass

    Mine.__module__ = "agents.mine"  # a package of that name is not the SDK
    module = ModuleType("of_mine")
    module.mine = Mine("test")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "of_mine", module)
    assert "an agent of pydantic-ai" in framework_agent("x", "of_mine:mine").description
