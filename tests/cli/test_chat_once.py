"""`tidegate chat` with one question, in pipes: the answer and nothing else, and an honest exit code."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

from tests.agents.tutorial import WHOLE, tutorial
from tests.chat import broken_off, chunk, frame, stream, text_chunks, text_stream, tool
from tests.cli.conftest import RunCommand
from tests.fixtures import StartGateway
from tests.gateway import Gateway, clean_environment, gateway_config
from tests.script import Gate, Head, Send, Stall, WaitFor
from tests.upstream import Upstream

Environment = dict[str, str]


def test_answer_is_plain_text(run_command: RunCommand, upstream: Upstream, at: Environment) -> None:
    upstream.play(text_stream(["# Title\n\n", "**bold** ", "世界"]))
    done = run_command("chat", "m", "-m", "hi", environment=at)
    assert (done.returncode, done.stdout, done.stderr) == (0, "# Title\n\n**bold** 世界\n", "")


def test_question_system_message_and_model_are_sent(
    run_inside: RunCommand, upstream: Upstream, at: Environment
) -> None:
    run_inside("chat", "m", "-m", "hi", "--system", "Be brief.", environment=at)
    sent = upstream.request().json
    assert sent["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]
    assert sent["stream_options"] == {"include_usage": True}


def test_without_a_model_the_default_one_answers(
    run_inside: RunCommand, upstream: Upstream, at: Environment
) -> None:
    done = run_inside("chat", "-m", "hi", environment=at)
    assert (done.returncode, done.stdout) == (0, "Hello world\n")


def test_question_is_read_from_the_input(run_inside: RunCommand, upstream: Upstream, at: Environment) -> None:
    for arguments in (["-m", "-"], []):
        upstream.reset()
        done = run_inside("chat", "m", *arguments, text="one\ntwo\n", environment=at)
        assert (done.returncode, done.stdout) == (0, "Hello world\n")
        assert upstream.request().json["messages"] == [{"role": "user", "content": "one\ntwo"}]


def test_empty_question_is_refused(run_inside: RunCommand, at: Environment) -> None:
    done = run_inside("chat", "m", text="\n", environment=at)
    assert done.returncode == 2
    assert "the question is empty" in done.stderr


def test_question_in_the_place_of_the_model_is_explained(run_inside: RunCommand) -> None:
    done = run_inside("chat", "why is the sky blue?")
    assert done.returncode == 2
    assert "to ask one question: tidegate chat -m TEXT" in done.stderr


def test_answer_comes_as_it_is_written(gateway: Gateway, upstream: Upstream, tmp_path: Path) -> None:
    more = Gate()
    first, *rest = text_chunks(["Hello", " world"])
    second, *rest = rest
    upstream.play([Head(), Send(frame(first)), Send(frame(second)), WaitFor(more), *stream(rest)[1:]])
    with start_chat(gateway, tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.read(5) == b"Hello"
        more.open()
        assert process.stdout.read() == b" world\n"
    assert process.returncode == 0


def test_reader_that_leaves_ends_the_generation_quietly(
    gateway: Gateway, upstream: Upstream, tmp_path: Path
) -> None:
    more = Gate()
    pieces = [frame(value) for value in text_chunks(["Hello"], finish=None)]
    after = [Send(frame(chunk(" world"))) for _ in range(200)]
    upstream.play([Head(), *map(Send, pieces), WaitFor(more), *after, Stall()])
    with start_chat(gateway, tmp_path) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(5) == b"Hello"
        process.stdout.close()
        more.open()
        upstream.request().connection.wait_closed()
        assert process.stderr.read() == b""
    assert process.returncode == 1


def test_interrupt_cancels_the_generation(gateway: Gateway, upstream: Upstream, tmp_path: Path) -> None:
    pieces = [frame(value) for value in text_chunks(["Hello"], finish=None)]
    upstream.play([Head(), *map(Send, pieces), Stall()])
    with start_chat(gateway, tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.read(5) == b"Hello"
        process.send_signal(signal.SIGINT)
        upstream.request().connection.wait_closed()
        assert process.communicate() == (b"\n", b"")
    assert process.returncode == 130


def start_chat(gateway: Gateway, folder: Path, *options: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tidegate", "chat", "m", "-m", "hi", "--url", gateway.base_url, *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**clean_environment(), "TIDEGATE_HOME": str(folder)},
    )


def test_error_in_mid_answer_keeps_the_text(
    run_inside: RunCommand, upstream: Upstream, at: Environment
) -> None:
    failure = {"error": {"message": "the model has gone away", "type": "server_error"}}
    upstream.play(broken_off(text_chunks(["Hello"], finish=None), Send(frame(failure))))
    done = run_inside("chat", "m", "-m", "hi", environment=at)
    assert (done.returncode, done.stdout) == (1, "Hello\n")
    assert done.stderr == "tidegate: the model has gone away\n"


def test_gateway_that_dies_and_stays_away_is_an_error_to_go_on_from(
    upstream: Upstream, tmp_path: Path
) -> None:
    pieces = [frame(value) for value in text_chunks(["Hello"], finish=None)]
    upstream.play([Head(), *map(Send, pieces), Stall()])
    gateway = Gateway(tmp_path, gateway_config(upstream.url))
    try:
        with start_chat(gateway, tmp_path, "--patience", "0.5") as process:
            assert process.stdout is not None
            assert process.stdout.read(5) == b"Hello"
            gateway.kill()
            output, errors = process.communicate()
    finally:
        gateway.kill()
    assert (process.returncode, output) == (1, b"\n")
    told = re.fullmatch(
        rb"tidegate: the connection to the gateway broke before the answer was complete, and was not found "
        rb"again within \d s; later: tidegate resume [0-9a-f]{32} --after \d+\n",
        errors,
    )
    assert told, errors
    upstream.request().connection.wait_closed()


def test_tool_call_is_told_beside_the_answer(
    run_inside: RunCommand, upstream: Upstream, at: Environment
) -> None:
    calls = [
        chunk(tool_calls=[tool(0, '{"city":', call_id="call_1", name="weather")]),
        chunk(tool_calls=[tool(0, ' "Paris"}')]),
    ]
    upstream.play(stream([chunk("", role="assistant"), *calls, chunk(finish="tool_calls")]))
    done = run_inside("chat", "m", "-m", "hi", environment=at)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == '→ calls weather({"city": "Paris"})\n'


def test_thinking_is_no_part_of_the_plain_answer(
    run_inside: RunCommand, upstream: Upstream, at: Environment
) -> None:
    upstream.play(stream([chunk(reasoning="Hm."), *text_chunks(["Yes."], role=False)]))
    assert run_inside("chat", "m", "-m", "hi", environment=at).stdout == "Yes.\n"


def test_unknown_model_is_told_with_the_nearest_names(
    run_inside: RunCommand, gateway: Gateway, at: Environment
) -> None:
    done = run_inside("chat", "agian", "-m", "hi", environment=at)
    assert (done.returncode, done.stdout) == (1, "")
    assert "there is no model 'agian' here" in done.stderr
    assert "'again'" in done.stderr


def test_without_a_gateway_the_command_that_starts_one_is_told(run_inside: RunCommand) -> None:
    done = run_inside("chat", "-m", "hi", "--url", "http://127.0.0.1:1")
    assert done.returncode == 1
    assert done.stderr == (
        "tidegate: No gateway answers at http://127.0.0.1:1; start one with: tidegate serve\n"
    )


def test_keys(start_gateway: StartGateway, upstream: Upstream, run_inside: RunCommand) -> None:
    config = gateway_config(upstream.url, auth={"keys": "required", "list": ["sk-right"]})
    address = {"TIDEGATE_URL": start_gateway(config).url}
    none = run_inside("chat", "-m", "hi", environment=address)
    assert (none.returncode, "wants a key; give it with --key KEY" in none.stderr) == (1, True)
    wrong = run_inside("chat", "-m", "hi", "--key", "sk-wrong", environment=address)
    assert (wrong.returncode, "does not take this key" in wrong.stderr) == (1, True)
    named = {**address, "TIDEGATE_API_KEY": "sk-right"}
    assert run_inside("chat", "-m", "hi", environment=named).returncode == 0


def test_recorded_address_is_found(
    start_gateway: StartGateway, upstream: Upstream, run_inside: RunCommand
) -> None:
    gateway = start_gateway(gateway_config(upstream.url))
    done = run_inside("chat", "-m", "hi", environment={"TIDEGATE_HOME": str(gateway.folder)})
    assert (done.returncode, done.stdout) == (0, "Hello world\n")


def test_progress_of_an_agent_is_told_beside_its_text(
    run_command: RunCommand, upstream: Upstream, at: Environment
) -> None:
    upstream.answer = tutorial
    done = run_command("chat", "write_tutorial", "-m", "MySQL", environment=at)
    assert (done.returncode, done.stdout) == (0, WHOLE)
    assert "· Section 2 of 3: First queries" in done.stderr.splitlines()
