"""The command `python -m bench.large`: how long one large request holds everybody else up.

A gateway is asked for `/healthz` every two milliseconds while another client sends it a request of many
megabytes. What the slowest of those answers took is how long its event loop was busy with that request.
"""

import argparse
import asyncio
import base64
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import yaml

from bench.errors import BenchError
from bench.machine import survey
from bench.systems import KEY, Surroundings, free_port, running

PROBE_SECONDS = 0.002
SETTLE_SECONDS = 1.0  # afterwards a thread still keeps what was said
MEGABYTE = 1_000_000


def picture(size: int) -> object:
    """The messages of a request that is about ``size`` bytes long, nearly all of them one picture."""
    url = "data:image/png;base64," + base64.b64encode(os.urandom(size * 3 // 4)).decode()
    parts = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": url}}]
    return [{"role": "user", "content": parts}]


def text(size: int) -> object:
    """The same with one long text, with what has to be escaped in JSON."""
    line = 'words and words, über "all"\n'
    return [{"role": "user", "content": line * (size // len(line))}]


def turns(size: int) -> object:
    """The same with very many short messages."""
    said = "some words " * 20
    roles = ("user", "assistant")
    return [{"role": roles[number % 2], "content": said} for number in range(size // len(said))]


KINDS: dict[str, Callable[[int], object]] = {"picture": picture, "text": text, "turns": turns}


class Upstream(BaseHTTPRequestHandler):
    """Reads what it is asked and says one word, as chunks of a stream."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        missing = int(self.headers["content-length"])
        while missing > 0 and (data := self.rfile.read(min(missing, MEGABYTE))):
            missing -= len(data)
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        choices = [{"index": 0, "delta": {"content": "yes"}, "finish_reason": None}]
        last = [{"index": 0, "delta": {}, "finish_reason": "stop"}]
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        for chunk in ({"choices": choices}, {"choices": last, "usage": usage}):
            self._frame(json.dumps({"id": "x", "object": "chat.completion.chunk", **chunk}))
        self._frame("[DONE]")
        self.wfile.write(b"0\r\n\r\n")

    def _frame(self, payload: str) -> None:
        frame = f"data: {payload}\n\n".encode()
        self.wfile.write(b"%x\r\n%b\r\n" % (len(frame), frame))

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@contextmanager
def gateway(folder: Path) -> Iterator[int]:
    """A gateway and its upstream; yields its port."""
    upstream = ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    threading.Thread(target=upstream.serve_forever, daemon=True).start()
    port, config = free_port(), folder / "tidegate.yaml"
    provider = {"base_url": f"http://127.0.0.1:{upstream.server_port}/v1", "api_key": "sk-mock"}
    settings = {
        "server": {"access_log": False, "max_body": "1GB"},
        "auth": {"keys": "required", "list": [KEY]},
        "providers": {"mock": {**provider, "dialect": "openai-chat"}},
        "models": {"mock-model": {"use": ["mock/mock-model"]}},
    }
    config.write_text(yaml.safe_dump(settings))
    words = [sys.executable, "-m", "tidegate", "serve", "--config", str(config), "--port", str(port)]
    surroundings = Surroundings(survey(), upstream.server_port, folder)
    with running(words, port, surroundings, {"TIDEGATE_HOME": str(folder / "home")}):
        yield port
    upstream.shutdown()


def ask(port: int, body: bytes) -> None:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", "/v1/chat/completions", body, {"Authorization": f"Bearer {KEY}"})
    answer = connection.getresponse().read()
    connection.close()
    if b"[DONE]" not in answer:
        raise BenchError(f"The gateway did not answer: {answer[:200]!r}")


async def longest(port: int, work: Callable[[], None]) -> float:
    """Seconds of the slowest answer to a probe while ``work`` is done in a thread, and a moment longer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    ended = asyncio.Event()

    async def wait() -> None:
        try:
            await asyncio.to_thread(work)
            await asyncio.sleep(SETTLE_SECONDS)
        finally:
            ended.set()

    waiting = asyncio.create_task(wait())
    slowest = 0.0
    while not ended.is_set():
        began = time.perf_counter()
        writer.write(b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
        await reader.readexactly(int(length.partition(b":")[2]))
        slowest = max(slowest, time.perf_counter() - began)
        await asyncio.sleep(PROBE_SECONDS)
    writer.close()
    await waiting
    return slowest


def body(kind: str, megabytes: float) -> bytes:
    messages = KINDS[kind](int(megabytes * MEGABYTE))
    return json.dumps({"model": "mock-model", "stream": True, "messages": messages}).encode()


def measure(port: int, sizes: Sequence[float], rounds: int) -> None:
    ask(port, body("text", 0.001))  # what is loaded at the first request is no part of this
    idle = asyncio.run(longest(port, lambda: None))
    print(f"nothing beside it: {idle * 1000:.1f} ms")
    for kind in KINDS:
        for size in sizes:
            sent = body(kind, size)
            found = [asyncio.run(longest(port, partial(ask, port, sent))) * 1000 for _ in range(rounds)]
            told = f"{statistics.median(found):.0f} ms ({min(found):.0f}–{max(found):.0f})"
            print(f"{kind}, {len(sent) / MEGABYTE:.1f} MB: {told}")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.large", description=__doc__)
    parser.add_argument(
        "--megabytes", type=float, nargs="*", default=[2, 20], help="sizes (default 2 and 20)"
    )
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as name, gateway(Path(name)) as port:
            measure(port, options.megabytes, options.rounds)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
