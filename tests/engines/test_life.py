"""Starting, crashing, hanging, stopping: the child as its parent sees it, and as it must not outlive it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

from tests.engines.conftest import HELLO, eventually, needs_engine, running, settings
from tests.engines.http import Client, joined, user
from tidegate.engines import Engine, EngineState, EngineUnavailable, HealthPolicy, RestartPolicy
from tidegate.engines.directory import EngineDirectory

pytestmark = needs_engine

Loop = Callable[[], asyncio.AbstractEventLoop]
BOTH_LOOPS = pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])


def run_on(loop: Loop, main: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main)


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that is dead and not yet reaped by its new parent does not."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return state.stdout.strip() != "" and not state.stdout.startswith("Z")


async def answer(engine: Engine) -> str:
    async with await Client.connect(await engine.ready()) as client:
        return joined(await client.stream(user("hi")))


async def _read_on(events: AsyncIterator[str]) -> None:
    async for event in events:
        assert event != "[DONE]"


def state_of(engine: Engine) -> EngineState:
    return engine.state


def pid_of(engine: Engine) -> int:
    pid = engine.statistics().pid
    assert pid is not None
    return pid


async def crash(engine: Engine, number: int = signal.SIGKILL) -> None:
    """Kill the child and wait until its parent has noticed."""
    crashes = engine.statistics().crashes
    os.kill(pid_of(engine), number)
    await eventually(lambda: _crashed(engine, crashes), within=20)


async def _crashed(engine: Engine, before: int = 0) -> bool:
    return engine.statistics().crashes > before and engine.state != "starting"


@BOTH_LOOPS
def test_callers_share_one_start(loop: Loop, hello: Path) -> None:
    async def run() -> None:
        engine = Engine(settings(hello))
        assert state_of(engine) == "stopped"
        try:
            sockets = await asyncio.gather(*(engine.ready() for _ in range(5)))
            assert len(set(sockets)) == 1
            assert state_of(engine) == "ready"
            assert engine.statistics().starts == 1
            assert await answer(engine) == HELLO
        finally:
            await engine.stop()

    run_on(loop, run())


def test_start_goes_on_when_the_caller_that_began_it_is_cancelled(hello: Path) -> None:
    async def run() -> None:
        engine = Engine(settings(hello))
        try:
            first = asyncio.create_task(engine.ready())
            await asyncio.sleep(0)
            second = asyncio.create_task(engine.ready())
            await asyncio.sleep(0)
            first.cancel()
            assert await second == engine.statistics().socket
            assert engine.statistics().starts == 1
        finally:
            await engine.stop()

    asyncio.run(run())


def test_facts_tell_context_and_slots(hello: Path) -> None:
    async def run() -> None:
        async with running(hello, slots=2, context=1024, batch=64) as (engine, _):
            facts = engine.facts
            assert facts is not None
            assert (facts.context, facts.slots, facts.batch, facts.threads) == (1024, 2, 64, 1)
            assert facts.template_features["supports_tools"] is True
            assert "ready" in repr(engine)

    asyncio.run(run())


@BOTH_LOOPS
def test_crash_breaks_its_streams_and_the_next_use_starts_again(loop: Loop, endless: Path) -> None:
    async def run() -> None:
        async with running(endless, context=262144) as (engine, client):
            await client.open_stream(user("count"))
            events = client.events()
            await anext(events)
            await crash(engine)
            with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
                await _read_on(events)
            async with await Client.connect(await engine.ready()) as again:
                assert await again.stream(user("count") | {"max_tokens": 2})
            assert engine.statistics().starts == 2
            assert engine.statistics().crashes == 1
            assert "crashed (signal 9)" in str(engine.statistics().last_failure)

    run_on(loop, run())


def test_second_crash_in_a_row_has_to_wait(hello: Path) -> None:
    async def run() -> None:
        now = 0.0
        policy = RestartPolicy(first=2, factor=2, healthy_after=60)
        engine = Engine(settings(hello), monotonic=lambda: now, jitter=lambda: 0.0, restart=policy)
        try:
            await engine.ready()
            await crash(engine)
            await engine.ready()
            await crash(engine, signal.SIGSEGV)
            assert state_of(engine) == "backing off"
            with pytest.raises(EngineUnavailable) as error:
                await engine.ready()
            assert str(error.value) == "engine tiny crashed (signal 11); restarting in 2 s"
            assert (error.value.status, error.value.retryable, error.value.retry_after) == (503, True, 2.0)
            now += 2
            assert await answer(engine) == HELLO
            await crash(engine)
            assert engine.statistics().restart_in == 4.0
            now += 4
            await engine.ready()
            now += 60
            await crash(engine)
            assert engine.statistics().failures_in_a_row == 1, "it had been healthy for long enough"
            assert await answer(engine) == HELLO
        finally:
            await engine.stop()

    asyncio.run(run())


def test_autostart_comes_back_by_itself(hello: Path) -> None:
    async def run() -> None:
        engine = Engine(settings(hello, autostart=True))
        try:
            await engine.ready()
            await crash(engine)

            async def back() -> bool:
                return engine.state == "ready"

            await eventually(back, within=20)
            assert engine.statistics().starts == 2
        finally:
            await engine.stop()

    asyncio.run(run())


def test_child_that_hangs_is_killed(hello: Path) -> None:
    async def run() -> None:
        health = HealthPolicy(interval=0.05, timeout=0.2, misses=2)
        engine = Engine(settings(hello), health=health)
        try:
            await engine.ready()
            await crash(engine, signal.SIGSTOP)
            assert engine.statistics().last_failure == (
                "engine tiny was ended because it gave no sign of life for 0.2 s"
            )
            assert await answer(engine) == HELLO
        finally:
            await engine.stop()

    asyncio.run(run())


STUCK = """
import runpy, sys, threading
from tidegate.engines import llama_model
from tidegate.engines.gguf import read_gguf
from tidegate.engines.handshake import EngineFacts

class Stuck:
    def handle_chat_completions(self, body, callback):
        threading.Event().wait()
    handle_completions = handle_chat_completions

def load(options):
    facts = EngineFacts(context=99, slots=1, batch=1, threads=1, build="", load_seconds=0.0)
    return llama_model.LoadedModel(Stuck(), read_gguf(options.model), facts)

llama_model.load = load
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[1], run_name="__main__")
"""


def test_child_that_computes_nothing_is_killed(hello: Path) -> None:
    async def run() -> None:
        health = HealthPolicy(interval=0.05, longest_silence=0.5, misses=1)
        engine = Engine(settings(hello), health=health, python=(sys.executable, "-c", STUCK))
        try:
            async with await Client.connect(await engine.ready()) as client:
                await client.send("POST", "/v1/chat/completions", b'{"messages": [], "stream": true}')
                with pytest.raises(asyncio.IncompleteReadError):
                    await client.head()
            await eventually(lambda: _crashed(engine), within=20)
            assert "was ended because it computed nothing for" in str(engine.statistics().last_failure)
        finally:
            await engine.stop()

    asyncio.run(run())


@BOTH_LOOPS
def test_stop_ends_streams_process_and_folder(loop: Loop, endless: Path) -> None:
    async def run() -> None:
        async with running(endless, context=262144) as (engine, client):
            await client.open_stream(user("count"))
            pid = pid_of(engine)
            folder = Path(await engine.ready()).parent
            await asyncio.gather(engine.stop(), engine.stop())
            assert not is_alive(pid)
            assert not folder.exists()
            assert state_of(engine) == "closed"
            with pytest.raises(EngineUnavailable, match="is stopped"):
                await engine.ready()

    run_on(loop, run())


def test_stop_while_starting_leaves_nothing(hello: Path, short_path: Path) -> None:
    async def run() -> None:
        engine = Engine(settings(hello), make_directory=lambda: EngineDirectory(short_path))
        starting = asyncio.create_task(engine.ready())

        async def spawned() -> bool:
            return engine.statistics().pid is not None

        await eventually(spawned, within=20)
        pid = pid_of(engine)
        await engine.stop()
        with pytest.raises(EngineUnavailable, match="is stopped"):
            await starting
        assert not is_alive(pid)

    asyncio.run(run())
    assert list(short_path.iterdir()) == []


def test_stop_kills_a_child_that_does_not_react(hello: Path) -> None:
    async def run() -> None:
        async with running(hello) as (engine, _):
            pid = pid_of(engine)
            os.kill(pid, signal.SIGSTOP)
            await engine.stop()
            assert not is_alive(pid)

    asyncio.run(run())


def test_load_has_a_deadline(hello: Path) -> None:
    async def run() -> None:
        engine = Engine(settings(hello, load_timeout=0.001))
        with pytest.raises(EngineUnavailable, match=r"engine tiny did not finish loading in 0\.001 s"):
            await engine.ready()
        await engine.stop()

    asyncio.run(run())


PARENT = """
import asyncio, sys, uvloop
from pathlib import Path
from tidegate.engines import Engine, EngineSettings
from tidegate.engines.directory import EngineDirectory

async def main():
    engine = Engine(
        EngineSettings(name="tiny", path=Path(sys.argv[1]), threads=1),
        make_directory=lambda: EngineDirectory(Path(sys.argv[2])),
    )
    socket = await engine.ready()
    print(engine.statistics().pid, socket, flush=True)
    await asyncio.Event().wait()

with asyncio.Runner(loop_factory=eval(sys.argv[3])) as runner:
    runner.run(main())
"""


@pytest.mark.parametrize("loop", ["asyncio.new_event_loop", "uvloop.new_event_loop"])
def test_child_dies_with_a_parent_that_is_killed(loop: str, hello: Path, short_path: Path) -> None:
    async def run() -> None:
        parent = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PARENT, hello, short_path, loop, stdout=asyncio.subprocess.PIPE
        )
        assert parent.stdout is not None
        pid, socket = (await parent.stdout.readline()).decode().split()
        async with await Client.connect(socket):
            parent.kill()
            await parent.wait()

            async def dead() -> bool:
                return not is_alive(int(pid))

            await eventually(dead, within=10)

    asyncio.run(run())
    assert list(short_path.glob("*/engine.sock")), "nobody was left to remove it"
    asyncio.run(eventually(lambda: _next_engine_cleans_up(short_path), within=10))


async def _next_engine_cleans_up(folder: Path) -> bool:
    # Not always at once: of a killed process the main thread is gone before the last one that holds the lock.
    EngineDirectory(folder).remove()
    return os.listdir(folder) == []


def test_folder_of_a_living_engine_is_left_alone(hello: Path, short_path: Path) -> None:
    async def run() -> None:
        engine = Engine(settings(hello), make_directory=lambda: EngineDirectory(short_path))
        try:
            await engine.ready()
            EngineDirectory(short_path).remove()
            assert await answer(engine) == HELLO
        finally:
            await engine.stop()

    asyncio.run(run())


def test_terminal_signals_are_for_the_parent(hello: Path) -> None:
    async def run() -> None:
        async with running(hello) as (engine, client):
            for number in (signal.SIGINT, signal.SIGHUP):
                os.kill(pid_of(engine), number)
                assert joined(await client.stream(user("hi"))) == HELLO
            assert os.getpgid(pid_of(engine)) != os.getpgid(0), "Ctrl-C does not reach it at all"

    asyncio.run(run())


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_port_is_opened_and_nobody_else_can_connect(hello: Path) -> None:
    async def run() -> None:
        async with running(hello) as (engine, client):
            await client.stream(user("hi"))
            assert_no_port(pid_of(engine))
            assert_private(Path(await engine.ready()))

    asyncio.run(run())


def assert_no_port(pid: int) -> None:
    sockets = _socket_inodes(pid)
    assert sockets
    for table in ("tcp", "tcp6", "udp", "udp6", "raw", "raw6"):
        lines = Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
        assert not sockets & {line.split()[9] for line in lines}, f"{table} is in use"


def assert_private(socket: Path) -> None:
    """Of the sockets that the child listens on only one has a name, and only its owner can use that."""
    assert stat.S_IMODE(socket.stat().st_mode) == 0o600
    assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
    assert sorted(entry.name for entry in socket.parent.iterdir()) == ["engine.sock", "log"]


def _socket_inodes(pid: int) -> set[str]:
    links = (os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir())
    return {link.removeprefix("socket:[").removesuffix("]") for link in links if link.startswith("socket:[")}


def environment_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_credentials_are_not_handed_to_the_child(hello: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")

    async def run() -> None:
        async with running(hello) as (engine, _):
            assert b"sk-secret" not in environment_of(pid_of(engine))

    asyncio.run(run())


def test_statistics_can_be_shown(hello: Path) -> None:
    async def run() -> None:
        async with running(hello) as (engine, _):
            snapshot = engine.statistics()
            assert snapshot.name == "tiny"
            assert snapshot.socket == await engine.ready()
            assert json.dumps(snapshot.last_failure) == "null"

    asyncio.run(run())
