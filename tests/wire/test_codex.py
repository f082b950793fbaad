"""Codex on an upstream that knows Chat alone: what it sends, and the program itself where it is installed.

`TIDEGATE_TEST_CODEX` names the program; without it the one on the path is taken, if there is one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.chat import USAGE, broken_off, chunk, envelope, frame, stream, text_chunks, tool
from tests.gateway import Gateway
from tests.raw_http import fetch
from tests.responses import check_lifecycle, events_of
from tests.script import End, Head, Pause, Script, Send
from tests.upstream import Request, Upstream

Json = dict[str, Any]

CODEX = os.environ.get("TIDEGATE_TEST_CODEX") or shutil.which("codex")
needs_codex = pytest.mark.skipif(CODEX is None, reason="Codex is not installed")

PARAMETERS: Json = {
    "type": "object",
    "properties": {"cmd": {"type": "string"}},
    "additionalProperties": False,
}


def function(name: str) -> Json:
    return {"type": "function", "name": name, "description": "d", "strict": False, "parameters": PARAMETERS}


def said(role: str, text: str, item_id: str) -> Json:
    content = [{"type": "input_text", "text": text}]
    return {"type": "message", "role": role, "id": item_id, "content": content}


def request() -> Json:
    """What Codex 0.169 sends, shortened."""
    grammar = {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"}
    return {
        "model": "m",
        "instructions": "You are a coding agent.",
        "input": [
            said("developer", "rules", "msg_1"),
            said("developer", "more rules", "msg_2"),
            said("user", "<environment_context/>", "msg_3"),
            said("user", "Do it.", "msg_4"),
        ],
        "tools": [
            function("exec_command"),
            {"type": "custom", "name": "apply_patch", "description": "d", "format": grammar},
            {"type": "namespace", "name": "agents", "description": "d", "tools": [function("spawn")]},
            {"type": "web_search", "external_web_access": False},
        ],
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "reasoning": {"summary": "auto"},
        "store": False,
        "stream": True,
        "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": "01a2",
        "client_metadata": {"x-codex-installation-id": "01a2"},
    }


HEADERS = {
    "Accept": "text/event-stream",
    "session-id": "01a2",
    "thread-id": "01a2",
    "x-codex-beta-features": "x",
}


def test_a_request_of_codex_and_the_turn_after_it(gateway: Gateway, upstream: Upstream) -> None:
    patch = '{"input": "*** Begin Patch"}'
    calls = [
        chunk(tool_calls=[tool(0, '{"cmd": "ls"}', call_id="c1", name="exec_command")]),
        chunk(tool_calls=[tool(1, patch, call_id="c2", name="apply_patch")]),
        chunk(tool_calls=[tool(2, "{}", call_id="c3", name="agents__spawn")]),
    ]
    upstream.play(
        stream([chunk(reasoning="Hm."), *calls, chunk(finish="tool_calls")]), stream(text_chunks(["Done."]))
    )
    first = fetch(gateway.address, "POST", "/v1/responses", request(), HEADERS)
    assert first.head.get("tidegate-dropped") == "tools"
    reasoning, command, change, agent = check_lifecycle(events_of(first.body))["output"]
    assert reasoning["summary"] == [{"type": "summary_text", "text": "Hm."}]
    assert (command["type"], command["name"], command["arguments"]) == (
        "function_call",
        "exec_command",
        '{"cmd": "ls"}',
    )
    assert (change["type"], change["name"], change["input"]) == (
        "custom_tool_call",
        "apply_patch",
        "*** Begin Patch",
    )
    assert (agent["namespace"], agent["name"]) == ("agents", "spawn")
    asked = upstream.request().json
    assert [each["function"]["name"] for each in asked["tools"]] == [
        "exec_command",
        "apply_patch",
        "agents__spawn",
    ]
    assert [each["role"] for each in asked["messages"]] == ["system", *["developer"] * 2, *["user"] * 2]

    results = [
        {"type": "function_call_output", "call_id": "c1", "output": "a.txt", "id": "fco_1"},
        {"type": "custom_tool_call_output", "call_id": "c2", "output": "patched"},
        {"type": "function_call_output", "call_id": "c3", "output": [{"type": "input_text", "text": "born"}]},
    ]
    again = request()
    del reasoning["id"]  # Codex does not send it back
    again["input"] += [reasoning, command, change, agent, *results]
    second = fetch(gateway.address, "POST", "/v1/responses", again, HEADERS)
    assert check_lifecycle(events_of(second.body))["status"] == "completed"
    turn, *answers = upstream.request(1).json["messages"][5:]
    assert [call["function"]["name"] for call in turn["tool_calls"]] == [
        "exec_command",
        "apply_patch",
        "agents__spawn",
    ]
    assert json.loads(turn["tool_calls"][1]["function"]["arguments"]) == {"input": "*** Begin Patch"}
    assert [(each["tool_call_id"], each["content"]) for each in answers] == [
        ("c1", "a.txt"),
        ("c2", "patched"),
        ("c3", "born"),
    ]


# Codex itself.


def run(gateway: Gateway, folder: Path, **settings: Any) -> list[Json]:
    """One question to Codex; gives the events that it prints."""
    assert CODEX is not None
    (folder / "work").mkdir()
    (folder / "home").mkdir()
    provider = {
        "name": "t",
        "base_url": gateway.base_url,
        "env_key": "KEY",
        "wire_api": "responses",
        **settings,
    }
    inner = ",".join(f"{name}={json.dumps(value)}" for name, value in provider.items())
    command = [CODEX, "exec", "--skip-git-repo-check", "--json", "-m", "m"]
    command += ["--dangerously-bypass-approvals-and-sandbox"]
    command += ["-c", f"model_providers.t={{{inner}}}", "-c", 'model_provider="t"', "Look around."]
    done = subprocess.run(
        command,
        cwd=folder / "work",
        env={**os.environ, "CODEX_HOME": str(folder / "home"), "KEY": "sk-test"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def calls_then(*second: Any) -> Any:
    """An upstream that calls a tool, and once it has the result answers with these steps."""

    def answer(asked: Request) -> Script:
        if asked.json["messages"][-1]["role"] == "tool":
            return list(second)
        call = [tool(0, '{"cmd": "echo was-here"}', call_id="c1", name="exec_command")]
        return stream([chunk("Looking."), chunk(tool_calls=call), chunk(finish="tool_calls")])

    return answer


@needs_codex
def test_codex_runs_a_tool_and_ends_its_turn(
    eager_gateway: Gateway, upstream: Upstream, tmp_path: Path
) -> None:
    """hazard 38: with a silence three times as long as its patience."""
    words = [frame(each) for each in [*text_chunks(["All ", "done."]), envelope([], usage=USAGE)]]
    last = [Head(), Pause(3), *(Send(each) for each in words), Send(b"data: [DONE]\n\n"), End()]
    upstream.answer = calls_then(*last)
    events = run(eager_gateway, tmp_path, stream_idle_timeout_ms=1000, stream_max_retries=0)
    assert events[-1]["type"] == "turn.completed"
    assert events[-1]["usage"]["output_tokens"] == 7
    items = [event["item"] for event in events if event["type"] == "item.completed"]
    [command] = [item for item in items if item["type"] == "command_execution"]
    assert command["aggregated_output"] == "was-here\n"
    assert items[-1]["text"] == "All done."


@needs_codex
def test_codex_is_told_why_an_answer_broke_off(gateway: Gateway, upstream: Upstream, tmp_path: Path) -> None:
    upstream.answer = calls_then(*broken_off(text_chunks(["Half"], finish=None)))
    events = run(gateway, tmp_path, stream_max_retries=0)
    assert events[-1]["type"] == "turn.failed"
    assert "closed the connection in mid-answer" in events[-1]["error"]["message"]
