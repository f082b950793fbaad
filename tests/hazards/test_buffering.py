"""Nothing between the upstream's write and the client's read may collect tokens."""

from __future__ import annotations

import shutil
import socket
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chat import DONE, chunk, frame, frames, text_chunks
from tests.chat_stream import LiveAnswer, body_for
from tests.gateway import Gateway, eventually
from tests.raw_http import Address
from tests.script import End, Gate, Head, Pause, Script, Send, Step, WaitFor
from tests.upstream import Upstream

WORDS = [f"word{number} " for number in range(20)]
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/bin")


def in_lock_step(gates: list[Gate], *, gzip: bool = False) -> Script:
    """One word for each gate: the upstream sends no word before the test has opened the word's gate."""
    steps: list[Step] = [Head(gzip=gzip)]
    for word, gate in zip(WORDS, gates, strict=True):
        steps += [WaitFor(gate), Send(frame(chunk(word)))]
    return [*steps, Send(frames(text_chunks([], role=False)) + DONE), End()]


@pytest.mark.parametrize("gzip", [False, True])
def test_every_event_leaves_before_the_next_one_comes(
    gateway: Gateway, upstream: Upstream, gzip: bool
) -> None:
    """hazard 24: word by word, also from an upstream that compresses its stream."""
    gates = [Gate() for _ in WORDS]
    upstream.play(in_lock_step(gates, gzip=gzip))
    delays = []
    with LiveAnswer(gateway.address, body_for()) as live:
        for word, gate in zip(WORDS, gates, strict=True):
            opened = time.monotonic()
            gate.open()
            live.read_past(word)
            delays.append(time.monotonic() - opened)
        assert live.rest().succeeded().text() == "".join(WORDS)
    assert statistics.median(delays) < 0.02


def test_reasoning_and_tool_arguments_are_not_held(gateway: Gateway, upstream: Upstream) -> None:
    """hazard 24: all kinds of deltas leave one by one."""
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look", "arguments": ""}}
    parts = [
        (chunk(reasoning="hmm1"), "hmm1"),
        (chunk(reasoning="hmm2"), "hmm2"),
        (chunk(tool_calls=[call]), "look"),
        (chunk(tool_calls=[{"index": 0, "function": {"arguments": '{"q":'}}]), "q"),
        (chunk(tool_calls=[{"index": 0, "function": {"arguments": '"x1"}'}}]), "x1"),
        (chunk("after"), "after"),
    ]
    gates = [Gate() for _ in parts]
    steps: list[Step] = [Head()]
    for (part, _), gate in zip(parts, gates, strict=True):
        steps += [WaitFor(gate), Send(frame(part))]
    upstream.play([*steps, Send(frame(chunk(finish="stop")) + DONE), End()])
    with LiveAnswer(gateway.address, body_for()) as live:
        for (_, mark), gate in zip(parts, gates, strict=True):
            gate.open()
            live.read_past(mark)
        live.rest().succeeded()


def test_the_headers_forbid_buffering(gateway: Gateway, upstream: Upstream) -> None:
    """hazard 23: what proxies look at, also when the client offers to take compressed bytes."""
    with LiveAnswer(gateway.address, body_for(), {"Accept-Encoding": "gzip, deflate, br, zstd"}) as live:
        head = live.head
        live.rest().succeeded()
    assert head.get("x-accel-buffering") == "no"
    assert head.get("cache-control") == "no-cache, no-transform"
    assert head.get("content-encoding") is None
    assert head.get("content-length") is None


NGINX_CONFIG = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  gzip on;
  gzip_proxied any;
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass {url}; proxy_http_version {version}; }}
  }}
}}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def accepts(address: Address) -> bool:
    try:
        socket.create_connection(address, 1).close()
    except OSError:
        return False
    return True


@pytest.fixture(params=["1.0", "1.1"])
def nginx(gateway: Gateway, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Address]:
    """nginx before the gateway with its default buffering, gzip on, and either version to the upstream."""
    if NGINX is None:
        pytest.skip("nginx is not installed")
    port = free_port()
    text = NGINX_CONFIG.format(folder=tmp_path, port=port, url=gateway.url, version=request.param)
    (tmp_path / "nginx.conf").write_text(text, encoding="ascii")
    command = [
        NGINX,
        "-p",
        str(tmp_path),
        "-c",
        str(tmp_path / "nginx.conf"),
        "-e",
        str(tmp_path / "error.log"),
    ]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: accepts(("127.0.0.1", port)), "nginx listens")
        yield "127.0.0.1", port
    finally:
        process.terminate()
        process.wait(10)


def test_nginx_passes_every_token_on(nginx: Address, upstream: Upstream) -> None:
    """hazard 23: default buffering and gzip, and each word still arrives before the next is sent."""
    gates = [Gate() for _ in WORDS]
    upstream.play(in_lock_step(gates))
    with LiveAnswer(nginx, body_for(), {"Accept-Encoding": "gzip"}) as live:
        for word, gate in zip(WORDS, gates, strict=True):
            gate.open()
            live.read_past(word)
        answer = live.rest().succeeded()
    assert answer.text() == "".join(WORDS)
    assert answer.response.head.get("content-encoding") is None


def test_the_first_token_comes_soon_through_nginx(nginx: Address, upstream: Upstream) -> None:
    """hazard 23: within 200 ms of the upstream's, and no later than the pauses of the upstream allow."""
    upstream.play(
        [Head(), Send(frame(chunk("first"))), Pause(1.0), Send(frame(chunk(finish="stop")) + DONE), End()]
    )
    with LiveAnswer(nginx, body_for(), {"Accept-Encoding": "gzip"}) as live:
        asked = upstream.request().at
        live.read_past("first")
        assert time.monotonic() - asked < 0.2
        live.rest().succeeded()
