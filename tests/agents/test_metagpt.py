"""Roles of MetaGPT as models: a stand-in package in a real process, and the real one where it is there."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tests.chat import text_stream
from tests.chat_stream import body_for, parse, post_chat, stream_chat
from tests.gateway import Gateway, gateway_config
from tests.raw_http import fetch
from tests.script import Script
from tests.upstream import Request, Upstream

REAL = os.environ.get("METAGPT_PYTHON")
"""The interpreter of an environment in which MetaGPT is installed."""

LOGS = "stream = print\ndef set_llm_stream_logfunc(function):\n    global stream\n    stream = function\n"
ROLES = dedent(
    '''
    import os, sys
    from pathlib import Path
    from types import SimpleNamespace
    from metagpt import logs


    class TutorialAssistant:
        """Streams, saves a file, and ends at once: the last words must not be lost."""

        def __init__(self, language="Chinese"):
            self.language = language
            self.llm = SimpleNamespace(
                cost_manager=SimpleNamespace(total_prompt_tokens=7, total_completion_tokens=9)
            )

        async def run(self, idea):
            print("this is printed and no part of the answer")
            for word in (f"{self.language}: ", idea, "\\n", *map(str, range(200))):
                logs.stream(word)
            path = Path(os.environ["METAGPT_PROJECT_ROOT"]) / "data" / "tutorial.md"
            path.parent.mkdir()
            path.write_text(f"# {idea}")
            return SimpleNamespace(content=str(path))


    class Silent:
        async def run(self, idea):
            return SimpleNamespace(content=f"All about {idea}")


    class Failing:
        async def run(self, idea):
            logs.stream("half")
            raise TypeError("no outline")


    class Dying:
        async def run(self, idea):
            logs.stream("half")
            print("out of memory", file=sys.stderr, flush=True)
            os._exit(9)


    class Thief:
        async def run(self, idea):
            logs.stream("mine")
            return SimpleNamespace(content="/etc/passwd")
    '''
)
WHOLE = "English: tides\n" + "".join(map(str, range(200)))


@pytest.fixture(scope="module")
def _roles(tmp_path_factory: pytest.TempPathFactory, _shared_upstream: Upstream) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("roles")
    package = folder / "beside" / "metagpt"
    (package / "roles").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "logs.py").write_text(LOGS)
    (package / "roles" / "__init__.py").touch()
    (package / "roles" / "tutorial_assistant.py").write_text(ROLES)
    here = {"python": sys.executable, "env": {"PYTHONPATH": str(folder / "beside")}}
    module = "metagpt:metagpt.roles.tutorial_assistant"
    models: dict[str, Any] = {
        "tutor": {
            "agent": "metagpt:TutorialAssistant",
            "options": here | {"arguments": {"language": "English"}},
        },
        **{
            name.lower(): {"agent": f"{module}:{name}", "options": here}
            for name in ("Silent", "Failing", "Dying", "Thief", "Nobody")
        },
        "nowhere": {"agent": "metagpt:TutorialAssistant"},
    }
    running = Gateway(folder, gateway_config(_shared_upstream.url, models=models))
    yield running
    running.stop()


@pytest.fixture
def roles(_roles: Gateway) -> Gateway:
    return _roles


def test_all_that_a_role_says_arrives_and_its_file_is_saved(roles: Gateway) -> None:
    answer = stream_chat(roles.address, "tides", model="tutor", stream_options={"include_usage": True})
    assert answer.succeeded().text() == WHOLE
    assert answer.usages[0]["completion_tokens"] == 9
    told = [choice["delta"]["tidegate"] for choice in answer.choices() if "tidegate" in choice["delta"]]
    assert told[0]["value"]["name"] == "tutorial.md"
    assert fetch(roles.address, "GET", told[0]["value"]["url"]).body == b"# tides"


def test_the_language_that_was_asked_for_is_the_roles(roles: Gateway) -> None:
    text = stream_chat(roles.address, "tides", model="tutor", language="French").succeeded().text()
    assert text.startswith("French: tides")


def test_a_role_that_does_not_stream_answers_at_its_end(roles: Gateway) -> None:
    assert stream_chat(roles.address, "tides", model="silent").succeeded().text() == "All about tides"


@pytest.mark.parametrize(
    ("model", "told"),
    [("failing", "the role failed: TypeError: no outline"), ("dying", "the role broke off: ")],
)
def test_a_role_that_fails_ends_the_answer_honestly(roles: Gateway, model: str, told: str) -> None:
    answer = stream_chat(roles.address, "tides", model=model)
    assert answer.text() == "half"
    assert told in answer.failed()["message"]


def test_a_file_from_elsewhere_is_not_handed_out(roles: Gateway) -> None:
    answer = stream_chat(roles.address, "tides", model="thief").succeeded()
    assert "which it did not make here" in answer.text(name="reasoning_content")


@pytest.mark.parametrize(("model", "told"), [("nobody", "the role failed"), ("nowhere", "option python")])
def test_what_is_missing_is_told(roles: Gateway, model: str, told: str) -> None:
    response = post_chat(roles.address, body_for("x", model=model, stream=False))
    assert response.status >= 500
    assert told in response.json["error"]["message"]


@pytest.mark.skipif(not REAL, reason="METAGPT_PYTHON names no interpreter that has the real MetaGPT")
@pytest.mark.timeout(180)
def test_the_real_metagpt_writes_a_tutorial_with_this_gateway(upstream: Upstream, tmp_path: Path) -> None:
    """It is behind the gateway as an agent, and before it as a client."""
    outline = {"title": "Tides", "directory": [{"Moon": ["pull"]}, {"Sea": ["water"]}]}

    def answer(request: Request) -> Script:
        asked = request.json["messages"][-1]["content"]
        if "Moon" in asked:
            return text_stream(["# Moon\n", "It pulls."])
        return text_stream(["# Sea\n", "It is wet."] if "Sea" in asked else [json.dumps(outline)])

    upstream.answer = answer
    llm = {"api_type": "openai", "base_url": "", "api_key": "sk-x", "model": "m"}
    options = {"python": REAL, "llm": llm, "arguments": {"language": "English"}}
    config = gateway_config(upstream.url, server={"port": free_port()})
    llm["base_url"] = f"http://127.0.0.1:{config['server']['port']}/v1"
    config["models"]["tutor"] = {"agent": "metagpt:TutorialAssistant", "options": options}
    gateway = Gateway(tmp_path, config, arguments=())
    try:
        told = parse(
            fetch(
                gateway.address,
                "POST",
                "/v1/chat/completions",
                body_for("Tides", model="tutor"),
                timeout=150,
            )
        ).succeeded()
        assert "It pulls." in told.text()
        assert "It is wet." in told.text()
        files = [each["delta"]["tidegate"] for each in told.choices() if "tidegate" in each["delta"]]
        assert files[0]["value"]["name"] == "Tides.md"
        saved = fetch(gateway.address, "GET", files[0]["value"]["url"]).body.decode()
        assert saved.startswith("# Tides")
    finally:
        gateway.stop()


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
