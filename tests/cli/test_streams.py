"""`tidegate resume` and `tidegate streams`: any terminal goes on with any answer, looks at it, stops it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chat import frame, text_chunks, text_stream
from tests.cli.conftest import RunCommand
from tests.cutting_proxy import Cut, CuttingProxy
from tests.fixtures import StartGateway
from tests.gateway import Gateway, clean_environment, gateway_config
from tests.script import Gate, Head, Send, Stall, WaitFor
from tests.upstream import Upstream
from tidegate.client import Client

Environment = dict[str, str]
UNKNOWN = "0" * 32


@pytest.fixture
def at(gateway: Gateway) -> Environment:
    return {"TIDEGATE_URL": gateway.url}


@pytest.fixture
def proxy(gateway: Gateway) -> Iterator[CuttingProxy]:
    with CuttingProxy(gateway.address) as between:
        yield between


def begin(gateway: Gateway, most: int | None = None) -> str:
    """Begin an answer, and read some of it or all; the id of its stream."""
    with Client(gateway.url).stream(model="m", messages="x", keep_running=True) as stream:
        for number, _ in enumerate(stream, start=1):
            if number == most:
                break
        return str(stream.stream_id)


def test_resume_prints_the_answer(
    run_inside: RunCommand, gateway: Gateway, upstream: Upstream, at: Environment
) -> None:
    upstream.play(text_stream(["Hello", " 世界", "\n\nbye"]))
    stream = begin(gateway)
    done = run_inside("resume", stream, environment=at)
    assert (done.returncode, done.stdout, done.stderr) == (0, "Hello 世界\n\nbye\n", "")
    assert run_inside("resume", stream, "--after", "2", environment=at).stdout == " 世界\n\nbye\n"
    assert run_inside("resume", stream, "--after", "99", environment=at).returncode == 1


def test_resume_prints_events_and_other_forms(
    run_inside: RunCommand, gateway: Gateway, upstream: Upstream, at: Environment
) -> None:
    upstream.play(text_stream(["Hello", " world"]))
    stream = begin(gateway)
    lines = run_inside("resume", stream, "--json", environment=at).stdout.splitlines()
    events = [json.loads(line) for line in lines]
    assert [event["seq"] for event in events] == [1, 2, 3, 4, 5]
    assert [event.get("text") for event in events[1:3]] == ["Hello", " world"]
    as_messages = run_inside("resume", stream, "--dialect", "anthropic-messages", environment=at).stdout
    assert as_messages.startswith("event: message_start\ndata: ")
    assert as_messages.endswith("\n\n")
    assert "event: message_stop" in as_messages
    both = run_inside("resume", stream, "--json", "--dialect", "events", environment=at)
    assert (both.returncode, "give one of the two" in both.stderr) == (2, True)


def test_resume_survives_lost_connections(
    run_inside: RunCommand, gateway: Gateway, upstream: Upstream, proxy: CuttingProxy
) -> None:
    pieces = [f"{number} " for number in range(200)]
    upstream.play(text_stream(pieces))
    stream = begin(gateway)
    for options in ([], ["--json"]):
        proxy.plan(*[Cut(700 + 100 * number, "reset") for number in range(6)])
        done = run_inside("resume", stream, *options, environment={"TIDEGATE_URL": proxy.url})
        assert done.returncode == 0
        if options:
            read = [json.loads(line).get("text", "") for line in done.stdout.splitlines()]
        else:
            read = [done.stdout.rstrip("\n")]
        assert "".join(read) == "".join(pieces)


def test_ctrl_c_leaves_and_the_answer_goes_on(gateway: Gateway, upstream: Upstream, tmp_path: Path) -> None:
    more = Gate()
    first, *rest = map(frame, text_chunks(["Hello", " world"]))
    upstream.play(
        [Head(), Send(first), Send(rest[0]), WaitFor(more), *map(Send, rest[1:]), Send(b"data: [DONE]\n\n")]
    )
    stream = begin(gateway, 2)
    command = [sys.executable, "-m", "tidegate", "resume", stream, "--url", gateway.url]
    environment = {**clean_environment(), "TIDEGATE_HOME": str(tmp_path)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stdout.read(5) == b"Hello"
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate()
    assert (process.returncode, output) == (130, b"\n")
    told = re.search(
        r"the answer goes on\. Come back with: tidegate resume (\w+) --after (\d+)", errors.decode()
    )
    assert told
    assert told[1] == stream
    more.open()
    with Client(gateway.url).resume(stream, after=told[2]) as answer:
        assert answer.collect().text == " world"


def test_ctrl_c_in_chat_stops_an_answer_that_has_not_begun(
    gateway: Gateway, upstream: Upstream, tmp_path: Path
) -> None:
    upstream.play([Stall()])
    command = [sys.executable, "-m", "tidegate", "chat", "m", "-m", "hi", "--url", gateway.url]
    environment = {**clean_environment(), "TIDEGATE_HOME": str(tmp_path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        connection = upstream.request(timeout=30).connection
        process.send_signal(signal.SIGINT)
        connection.wait_closed()
    assert process.returncode == 130


def test_streams_are_listed_shown_and_stopped(
    run_inside: RunCommand, start_gateway: StartGateway, upstream: Upstream
) -> None:
    gateway = start_gateway(gateway_config(upstream.url))
    at = {"TIDEGATE_URL": gateway.url}
    assert run_inside("streams", "list", environment=at).stdout == "There are none.\n"
    upstream.play(text_stream(["Hello", " world"]))
    ended = begin(gateway)
    upstream.play([Head(), *map(Send, map(frame, text_chunks(["Hel"], finish=None))), Stall()])
    running = begin(gateway, 2)
    listed = run_inside("streams", "list", environment=at).stdout
    cells = [line.split() for line in listed.splitlines()]
    assert [running, "running", "m", "openai-chat"] in [row[:4] for row in cells]
    assert [ended, "completed", "m", "openai-chat"] in [row[:4] for row in cells]
    only = run_inside("streams", "list", "--status", "running", "--json", environment=at).stdout
    assert [row["id"] for row in json.loads(only)] == [running]
    shown = run_inside("streams", "show", ended, environment=at).stdout
    assert re.search(r"status\s+completed", shown)
    assert re.search(r"attempt\s+up/mock: completed after", shown)
    assert shown.endswith("Hello world\n")
    assert json.loads(run_inside("streams", "show", ended, "--json", environment=at).stdout)["text"]
    stopped = run_inside("streams", "cancel", running, ended, environment=at).stdout
    assert stopped == f"{running}: is stopped\n{ended}: was complete already\n"
    upstream.request(1).connection.wait_closed()
    resumed = run_inside("resume", running, environment=at)
    assert (resumed.returncode, resumed.stdout) == (1, "Hel\n")
    assert "cancelled" in resumed.stderr


@pytest.mark.parametrize("words", [["resume"], ["streams", "show"], ["streams", "cancel"]])
def test_a_stream_that_is_not_there(run_inside: RunCommand, at: Environment, words: list[str]) -> None:
    done = run_inside(*words, UNKNOWN, environment=at)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"tidegate: there is no stream {UNKNOWN}\n"
    nobody = run_inside(*words, UNKNOWN, "--url", "http://127.0.0.1:1")
    assert nobody.stderr == (
        "tidegate: No gateway answers at http://127.0.0.1:1; start one with: tidegate serve\n"
    )


def test_streams_of_others_are_told_as_that(
    run_inside: RunCommand, start_gateway: StartGateway, upstream: Upstream
) -> None:
    config = gateway_config(upstream.url, auth={"keys": "required", "list": ["sk-one", "sk-two"]})
    gateway = start_gateway(config)
    with Client(gateway.url, "sk-one").stream(model="m", messages="x") as answer:
        answer.collect()
    stream, at = str(answer.stream_id), {"TIDEGATE_URL": gateway.url}
    foreign = run_inside("resume", stream, "--key", "sk-two", environment=at)
    assert foreign.stderr == f"tidegate: stream {stream} belongs to another key\n"
    assert "wants a key" in run_inside("streams", "list", environment=at).stderr
