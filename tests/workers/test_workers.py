"""Several processes serve one address: what one of them has, all have, and what kills one hurts no other."""

from __future__ import annotations

import importlib.util
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests import forked
from tests.chat import DONE, chunk, frame, frames, one_by_one, text_chunks
from tests.chat_stream import ChatAnswer, body_for, parse, post_chat
from tests.fixtures import StartGateway
from tests.gateway import Config, Gateway, clean_environment, eventually, gateway_config
from tests.raw_http import RawConnection, Response, fetch, request_bytes
from tests.script import End, Gate, Head, Send, WaitFor
from tests.tiny_gguf import TinyModel, shared_tiny_gguf
from tests.upstream import Upstream
from tests.workers.processes import ask, connect_to, engines_of, is_alive, worker_of, workers_of
from tidegate.cli.checks.gateway import check_gateway
from tidegate.config import Config as Settings
from tidegate.config import Server

# Each start is one of three processes.
pytestmark = pytest.mark.timeout(180)

COUNT = 2
FIRST, SECOND = frames(text_chunks(["first "], finish=None)), frame(chunk("second"))
LAST = frame(chunk(finish="stop")) + DONE


def config_for(upstream: Upstream, **server: object) -> Config:
    return gateway_config(upstream.url, server={"workers": COUNT, "port": 0, **server})


@pytest.fixture(scope="module")
def _several(_shared_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    running = Gateway(tmp_path_factory.mktemp("several"), config_for(_shared_upstream))
    yield running
    running.stop()


@pytest.fixture
def several(_several: Gateway, upstream: Upstream) -> Iterator[Gateway]:
    """A gateway of two workers, with its usual settings and both of them alive."""
    eventually(lambda: _several.get("/readyz")["workers"] == COUNT, "all workers are there", 30)
    yield _several
    _several.write_config(config_for(upstream))


@pytest.fixture
def held(upstream: Upstream) -> Iterator[Gate]:
    """Holds the next answers in their middle; opened at the latest when the test is over."""
    gate = Gate()
    for _ in range(4):
        upstream.play([Head(), Send(FIRST), WaitFor(gate), Send(SECOND), Send(LAST), End()])
    yield gate
    gate.open()


def one_each(gateway: Gateway) -> list[RawConnection]:
    return [connect_to(gateway, worker) for worker in workers_of(gateway)]


def rest_of(connection: RawConnection) -> ChatAnswer:
    return parse(connection.read_response())


def test_every_worker_serves_the_one_address(several: Gateway) -> None:
    for connection in one_each(several):
        with connection:
            ask(connection, model="demo")
            assert parse(connection.read_response()).succeeded()


def test_what_is_told_of_the_gateway_is_told_of_all_workers(several: Gateway, held: Gate) -> None:
    before = count_of(several)
    connections = one_each(several)
    for connection in connections:
        ask(connection)
        connection.read_until(b"first ")
    for connection in one_each(several):
        with connection:
            told = fetch(several.address, "GET", "/readyz").json
            assert told == {"status": "ready", "streams": COUNT, "workers": COUNT}
    found = check_gateway(Settings(server=Server(port=0)), {"TIDEGATE_HOME": str(several.folder)})
    assert any(f", {COUNT} workers: " in finding.text for finding in found), "so does `tidegate doctor`"
    held.open()
    for connection in connections:
        connection.read_until(b"[DONE]")
        connection.close()
    eventually(lambda: count_of(several) == before + COUNT, "both answers are counted")
    assert count_of(several) == before + COUNT, "whichever worker is asked"


def count_of(gateway: Gateway) -> float:
    """Answers by the model `m` in the metrics."""
    text = fetch(gateway.address, "GET", "/metrics").body.decode()
    mark = 'gen_ai_server_request_duration_seconds_count{error_type="",gen_ai_request_model="m"} '
    return sum(float(line.removeprefix(mark)) for line in text.splitlines() if line.startswith(mark))


def test_a_repeated_request_finds_its_stream_in_the_other_worker(several: Gateway, held: Gate) -> None:
    """The connection moves to where the stream is, and its answer goes on there."""
    here, there = one_each(several)
    owner = worker_of(several, here)
    with here, there:
        key = os.urandom(8).hex()
        ask(here, **{"Idempotency-Key": key})
        here.read_until(b"first ")
        ask(there, **{"Idempotency-Key": key})
        head = there.read_head()
        assert head.get("idempotent-replayed") == "true"
        there.read_until(b"first ")
        assert worker_of(several, there) == owner
        held.open()
        for connection in (here, there):
            assert b"second" in connection.read_until(b"[DONE]\n\n")
            assert connection.read_until(b"0\r\n\r\n")
        # It is an ordinary connection of its new worker now.
        ask(there, model="demo")
        assert rest_of(there).succeeded()


def test_a_stream_is_read_on_listed_and_stopped_from_any_worker(several: Gateway, held: Gate) -> None:
    here, there = one_each(several)
    owner = worker_of(several, here)
    with here, there:
        ask(here)
        stream = here.read_head().get("tidegate-stream")
        here.read_until(b"first ")
        there.send(request_bytes("GET", "/v1/streams?status=running"))
        listed = there.read_response("GET").json["data"]
        assert [each["id"] for each in listed] == [stream]
        there.send(request_bytes("GET", f"/v1/streams/{stream}?after=1"))
        assert there.read_head().status == 200
        there.read_until(b"first ")
        assert worker_of(several, there) == owner
        with another(several, owner) as third:
            third.send(request_bytes("DELETE", f"/v1/streams/{stream}"))
            assert third.read_response("DELETE").json["outcome"] == "cancelled"
            assert worker_of(several, third) == owner
        for connection in (here, there):
            assert b"cancelled" in connection.read_until(b"0\r\n\r\n")


def read_to(connection: RawConnection, mark: str) -> bytes:
    """The body of an answer as far as the chunk that holds the mark."""
    body = b""
    while mark.encode() not in body:
        body += connection.read_chunk()
    return body


def test_a_reader_of_another_worker_joins_a_relay_and_leaves_it(several: Gateway, upstream: Upstream) -> None:
    """What is relayed before, between and after that is one answer, for both and for who reads it later."""
    join, leave = Gate(), Gate()
    words = [f"word{number} " for number in range(60)]
    thirds = [one_by_one(words[at : at + 20]) for at in (0, 20, 40)]
    upstream.play(
        [Head(), *thirds[0], WaitFor(join), *thirds[1], WaitFor(leave), *thirds[2], Send(LAST), End()]
    )
    here, there = one_each(several)
    owner = worker_of(several, here)
    with here, there:
        ask(here)
        head = here.read_head()
        stream = head.get("tidegate-stream")
        body = read_to(here, words[19])
        there.send(request_bytes("GET", f"/v1/streams/{stream}"))
        assert there.read_head().status == 200
        seen = read_to(there, words[19])
        assert worker_of(several, there) == owner
        join.open()
        body += read_to(here, words[39])
        seen += read_to(there, words[39])
        there.close()
        leave.open()
        body += b"".join(here.chunks())
    assert body.startswith(seen)
    assert parse(Response(head, body)).succeeded().text() == "".join(words)
    for connection in one_each(several):
        with connection:
            connection.send(request_bytes("GET", f"/v1/streams/{stream}"))
            assert connection.read_response("GET").body == body


def test_a_stream_that_nobody_has_is_not_found(several: Gateway) -> None:
    for connection in one_each(several):
        with connection:
            connection.send(request_bytes("GET", f"/v1/streams/{'0' * 32}"))
            assert connection.read_response("GET").status == 404


def another(gateway: Gateway, worker: int) -> RawConnection:
    """A connection to a worker that is not this one."""
    return connect_to(gateway, next(each for each in workers_of(gateway) if each != worker))


def test_a_worker_that_is_killed_is_replaced_and_disturbs_nobody(several: Gateway, held: Gate) -> None:
    """Also when the file of settings holds mistakes by then: those that are in force count."""
    several.write_config({"modles": {}})
    several.signal(signal.SIGHUP)
    eventually(lambda: "modles" in several.output(), "the mistake is told")
    victim, spared = one_each(several)
    with victim, spared:
        ask(victim, **{"Idempotency-Key": os.urandom(8).hex()})
        ask(spared)
        stream = victim.read_head().get("tidegate-stream") or ""
        for connection in (victim, spared):
            connection.read_until(b"first ")
        pid = worker_of(several, victim)
        os.kill(pid, signal.SIGKILL)
        victim.read_to_end()
        eventually(lambda: text_of(several, stream).startswith("first "), "its stream is taken over", 30)
        eventually(lambda: several.get("/readyz")["workers"] == COUNT, "another takes its place", 30)
        assert pid not in workers_of(several)
        held.open()
        assert b"second" in spared.read_until(b"[DONE]")
        for connection in one_each(several):
            with connection:
                ask(connection)
                assert rest_of(connection).succeeded()
    assert "was ended by SIGKILL; its connections are lost, another takes its place" in several.output()


def text_of(gateway: Gateway, stream: str) -> str:
    """What a stream has said; nothing while it is being taken over, which is no reason to deny it."""
    told = fetch(gateway.address, "GET", f"/v1/streams/{stream}", headers={"Accept": "application/json"})
    assert told.status in (200, 503), told
    return str(told.json["text"]) if told.status == 200 else ""


def test_a_reload_reaches_every_worker(several: Gateway, upstream: Upstream) -> None:
    config = config_for(upstream)
    config["models"]["fresh"] = {"use": ["up/mock-fresh"]}
    several.write_config(config)
    several.signal(signal.SIGHUP)
    eventually(lambda: "the configuration was reloaded" in several.output(), "the reload is told")
    for connection in one_each(several):
        with connection:
            ask(connection, model="fresh")
            assert rest_of(connection).succeeded()
    assert several.output().count("the configuration was reloaded") == 1


def test_a_mistake_that_only_workers_notice_changes_nothing(several: Gateway, upstream: Upstream) -> None:
    several.write_config(config_for(upstream) | {"default_model": "up/"})
    several.signal(signal.SIGHUP)
    eventually(lambda: "the old one stays" in several.output().rsplit("modles", 1)[-1], "the mistake is told")
    assert post_chat(several.address, {"messages": body_for()["messages"]}).status == 200


def test_a_stop_lets_streams_finish_until_a_second_signal(
    upstream: Upstream, start_gateway: StartGateway
) -> None:
    """What is under way in any worker ends well, or at least honestly."""
    gateway = start_gateway(config_for(upstream))
    gates = [Gate(), Gate()]
    connections = one_each(gateway)
    for gate, connection in zip(gates, connections, strict=True):
        upstream.play([Head(), Send(FIRST), WaitFor(gate), Send(SECOND), Send(LAST), End()])
        ask(connection)
        connection.read_until(b"first ")
    gateway.signal(signal.SIGINT)
    eventually(lambda: refused(gateway), "newcomers are refused", 10)
    gates[0].open()
    assert b"second" in connections[0].read_until(b"[DONE]")
    gateway.signal(signal.SIGTERM)
    assert b"the gateway was shut down before the answer ended" in connections[1].read_to_end()
    assert gateway.process.wait(15) == 0
    gates[1].open()
    for connection in connections:
        connection.close()
    assert not (gateway.folder / "server.json").exists()
    assert list((gateway.folder / "streams").iterdir()) == []


def refused(gateway: Gateway) -> bool:
    try:
        return post_chat(gateway.address, body_for(), timeout=1).status == 503
    except (OSError, EOFError):
        return True


@pytest.mark.skipif(importlib.util.find_spec("xllamacpp") is None, reason="needs xllamacpp")
def test_workers_share_an_engine_and_outlive_neither_it_nor_their_owner(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = shared_tiny_gguf(tmp_path_factory, TinyModel(script="Hello from a tiny local model."))
    model = {"gguf": str(path), "threads": 1, "slots": 1}
    gateway = Gateway(tmp_path, {"models": {"tiny": model}}, ("--workers", str(COUNT), "--port", "0"))
    for connection in one_each(gateway):
        with connection:
            ask(connection, model="tiny")
            assert parse(connection.read_response()).text() == "Hello from a tiny local model."
    workers, engines = workers_of(gateway), engines_of(gateway)
    assert (len(workers), len(engines)) == (COUNT, 1)
    gateway.kill()
    eventually(lambda: not any(map(is_alive, workers + engines)), "workers and engine have ended")


def test_what_keeps_it_from_starting_is_said_once(tmp_path: Path) -> None:
    """Every worker meets this mistake."""
    server = {"workers": COUNT, "port": 0}
    store = f"sqlite:///{tmp_path}/tidegate.yaml/below-a-file.db"
    config = {"server": server, "providers": {}, "default_model": "demo", "store": store}
    (tmp_path / "tidegate.yaml").write_text(yaml.safe_dump(config), "utf-8")
    done = forked.run(["serve"], tmp_path, {**clean_environment(), "TIDEGATE_HOME": str(tmp_path)})
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith("tidegate: ")
    assert "below-a-file" in line
