"""A command as a model: its output is the answer, and nothing of it is left behind."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chat_stream import body_for, parse, post_chat, stream_chat
from tests.crash.killing import Reading, at_home
from tests.gateway import Gateway, eventually, gateway_config
from tests.raw_http import RawConnection, fetch, request_bytes
from tests.upstream import Upstream
from tests.wire.test_ledger import row_of

SHOUT = "import sys; print(sys.stdin.read().upper(), end='')"
SLOW = (
    "import os, subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
    "print(f'{os.getpid()} {child.pid} ', end='', flush=True)\n"
    "time.sleep(60)\n"
)
SPLIT = (
    "import sys, time\n"
    "for byte in '世界 ok'.encode():\n"
    "    sys.stdout.buffer.write(bytes([byte])); sys.stdout.buffer.flush()\n"
)
FAILS = "import sys; print('half', flush=True); print('first', file=sys.stderr); sys.exit('no such luck')"


def python(code: str, *more: str, **options: Any) -> dict[str, Any]:
    return {"exec": [sys.executable, "-c", code, *more], "options": options}


MODELS = {
    "shout": python(SHOUT),
    "split": python(SPLIT),
    "fails": python(FAILS),
    "slow": python(SLOW),
    "stubborn": python("import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SLOW),
    "echo": python("import sys; print(sys.argv[1:])", "said: {text}"),
    "bare": python("import sys; print(sys.argv[1:])", "{text}"),
    "messages": python(SHOUT.replace(".upper()", ""), input="messages"),
    "environment": python("import json, os; print(json.dumps(dict(os.environ)))", env={"GIVEN": "yes"}),
    "flood": python("while True: print('x' * 1000000)"),
    "chatters": python("import sys\nfor n in range(200000): print(n, file=sys.stderr)\nprint('done')"),
    "missing": {"exec": ["there-is-no-such-command"]},
}


@pytest.fixture(scope="module")
def _commands(tmp_path_factory: pytest.TempPathFactory, _shared_upstream: Upstream) -> Iterator[Gateway]:
    config = gateway_config(_shared_upstream.url, models=MODELS)
    secret = {"OPENAI_API_KEY": "sk-secret", "TIDEGATE_API_KEYS": ""}
    running = Gateway(tmp_path_factory.mktemp("commands"), config, environment=secret)
    yield running
    running.stop()


@pytest.fixture
def commands(_commands: Gateway) -> Gateway:
    return _commands


def ask(gateway: Gateway, model: str, text: str = "hello") -> str:
    return stream_chat(gateway.address, text, model=model).succeeded().text()


def test_its_output_is_the_answer(commands: Gateway) -> None:
    assert ask(commands, "shout") == "HELLO"


def test_a_character_that_comes_in_parts_is_one(commands: Gateway) -> None:
    assert ask(commands, "split") == "世界 ok"


def test_the_text_may_stand_in_an_argument_and_is_never_run(commands: Gateway) -> None:
    assert ask(commands, "echo", "$(id); 'x' \"y\"") == str(["said: $(id); 'x' \"y\""]) + "\n"


def test_a_text_that_looks_like_an_option_is_refused(commands: Gateway) -> None:
    response = post_chat(commands.address, body_for("--version", model="bare"))
    assert response.status == 400
    assert "dash" in response.json["error"]["message"]


def test_the_whole_conversation_can_be_read(commands: Gateway) -> None:
    assert json.loads(ask(commands, "messages", "hi")) == [{"role": "user", "content": "hi"}]


def test_it_gets_no_credentials_of_the_gateway(commands: Gateway) -> None:
    seen = json.loads(ask(commands, "environment"))
    assert seen["GIVEN"] == "yes"
    assert "PATH" in seen
    assert "OPENAI_API_KEY" not in seen


def test_a_failure_is_told_with_its_last_words(commands: Gateway) -> None:
    answer = stream_chat(commands.address, "x", model="fails")
    assert answer.text() == "half\n"
    assert answer.failed()["message"] == "the command ended with exit code 1: first / no such luck"
    assert "first\n" in answer.text(name="reasoning_content")


def test_a_command_that_is_not_there_is_told(commands: Gateway) -> None:
    response = post_chat(commands.address, body_for("x", model="missing"))
    assert response.status == 503
    assert "there is no such command" in response.json["error"]["message"]


def test_output_is_bounded(commands: Gateway) -> None:
    response = post_chat(commands.address, body_for("x", model="flood", stream=False))
    assert "more than 16 MiB" in response.json["error"]["message"]


def gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody has asked about yet counts too."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks processes up in /proc")
@pytest.mark.parametrize("model", ["slow", "stubborn"])
def test_leaving_ends_it_and_all_that_it_started(commands: Gateway, model: str) -> None:
    connection = RawConnection(commands.address)
    connection.send(request_bytes("POST", "/v1/chat/completions", body_for("x", model=model)))
    connection.read_head()
    read = b""
    for data in connection.chunks():
        read += data
        if b' "},"finish' in read or b' "},' in read:
            break
    connection.close()
    words = read.split(b'"content":"')[2].split()
    for pid in (int(words[0]), int(words[1])):
        assert os.getpid() != pid
        eventually(lambda pid=pid: gone(pid), f"process {pid} has ended")  # type: ignore[misc]


def test_its_tokens_are_estimated_and_counted(commands: Gateway) -> None:
    response = post_chat(commands.address, body_for("hello there, you", model="shout", stream=False))
    row = row_of(commands, response.head.get("tidegate-stream"))
    assert row.output_tokens == response.json["usage"]["completion_tokens"] == 2


def test_a_command_is_not_run_twice(upstream: Upstream, tmp_path: Path) -> None:
    with at_home(tmp_path / "home", gateway_config(upstream.url, models=MODELS)) as home:
        reading = Reading(home, "x", "slow", {"Tidegate-On-Disconnect": "detach"})
        reading.has(' "},')
        home.kill_and_start()
        answer = parse(fetch(home.gateway.address, "GET", f"/v1/streams/{reading.stream}"))
        assert "nobody knows what it has done" in answer.failed()["message"]


def test_of_a_flood_of_notes_only_some_are_told_and_the_answer_comes(commands: Gateway) -> None:
    answer = stream_chat(commands.address, "hello", model="chatters").succeeded()
    assert answer.text() == "done\n"
    assert 1 <= len(answer.text(name="reasoning_content").split("\n")) < 2_100
