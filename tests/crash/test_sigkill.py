"""The gateway is killed with SIGKILL, and nothing that a reader was shown is lost, twice or elsewhere."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

import pytest

from tests.chat import chunk
from tests.gateway import Config, Gateway, eventually, gateway_config
from tests.raw_http import fetch
from tests.script import End, Gate, Head, Reach, Script, Send, Stall
from tests.upstream import Upstream

WORDS = [f"word{number} " for number in range(40)]
PROMPT = [{"role": "user", "content": "Say forty words."}]


def frames(words: list[str], finish: str | None = None) -> bytes:
    chunks = [chunk(content=word) for word in words]
    if finish is not None:
        chunks.append(chunk(finish=finish))
    return b"".join(f"data: {json.dumps(each)}\n\n".encode() for each in chunks)


def until(words: int, gate: Gate, since: int = 0) -> Script:
    """An upstream that says the words up to here, and then nothing more."""
    return [Head(), Send(frames(WORDS[since:words])), Reach(gate), Stall()]


def to_the_end(since: int) -> Script:
    return [Head(), Send(frames(WORDS[since:], "stop")), Send(b"data: [DONE]\n\n"), End()]


class Life:
    """A gateway that is killed and comes back, with the same data folder."""

    def __init__(self, folder: Path, config: Config) -> None:
        self._folder = folder
        self._config = config
        folder.mkdir()
        self.gateway = Gateway(folder, config)
        self._readings: list[Reading] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for reading in self._readings:
            reading.close()
        self.gateway.stop()

    def killed(self) -> None:
        self.gateway.kill()
        (self._folder / "server.json").unlink()
        self.gateway = Gateway(self._folder, self._config)

    def begin(self, key: str, **headers: str) -> Reading:
        self._readings.append(Reading(self.gateway, key, headers))
        return self._readings[-1]

    def state(self, stream: str) -> Any:
        accept = {"Accept": "application/json"}
        return fetch(self.gateway.address, "GET", f"/v1/streams/{stream}", headers=accept).json

    def rest(self, stream: str, after: str) -> bytes:
        """What comes after the last frame that was read, to the end."""
        sent = {"Last-Event-ID": after, "Tidegate-Event-Ids": "1"} if after else {"Tidegate-Event-Ids": "1"}
        return fetch(self.gateway.address, "GET", f"/v1/streams/{stream}", headers=sent).body


class Reading:
    """A streamed answer over a plain socket, of which whole frames are kept as they come."""

    def __init__(self, gateway: Gateway, key: str, headers: dict[str, str]) -> None:
        body = json.dumps({"model": "long", "stream": True, "messages": PROMPT}).encode()
        lines = {"Host": "localhost", "Tidegate-Event-Ids": "1", "Content-Length": str(len(body)), **headers}
        if key:
            lines["Idempotency-Key"] = key
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self._socket = socket.create_connection(gateway.address, timeout=10)
        self._socket.sendall(f"POST /v1/chat/completions HTTP/1.1\r\n{head}\r\n".encode() + body)
        self._data = b""

    def close(self) -> None:
        self._socket.close()

    def read(self, words: int) -> None:
        """Wait for so many words."""
        while self.text.count(" ") < words:
            data = self._socket.recv(65536)
            assert data, "the gateway closed the connection"
            self._data += data

    @property
    def stream(self) -> str:
        return self._data.partition(b"tidegate-stream: ")[2].partition(b"\r\n")[0].decode()

    @property
    def frames(self) -> bytes:
        """The whole frames so far, without HTTP's chunks."""
        body = self._data.partition(b"\r\n\r\n")[2]
        said = b""
        while body:
            size, _, body = body.partition(b"\r\n")
            length = int(size, 16)
            said, body = said + body[:length], body[length + 2 :]
        return said[: said.rfind(b"\n\n") + 2]

    @property
    def text(self) -> str:
        return text_of(self.frames) if b"\r\n\r\n" in self._data else ""

    @property
    def place(self) -> str:
        places = [line[4:] for line in self.frames.split(b"\n") if line.startswith(b"id: ")]
        return places[-1].decode() if places else ""


def text_of(said: bytes) -> str:
    lines = [line[6:] for line in said.split(b"\n") if line.startswith(b"data: {")]
    deltas = [json.loads(line)["choices"][0]["delta"] for line in lines]
    return "".join(delta.get("content") or "" for delta in deltas)


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def config_for(upstream: Upstream) -> Config:
    config = gateway_config(upstream.url)
    config["providers"]["up"]["continues"] = "continue_final_message"
    config["models"]["long"] = {"use": ["up/mock"]}
    return config


@pytest.fixture
def life(upstream: Upstream, tmp_path: Path) -> Iterator[Life]:
    with Life(tmp_path / "gateway", config_for(upstream)) as alive:
        yield alive


def read_through(life: Life, upstream: Upstream, key: str, points: list[int]) -> None:
    """An answer that is read while the gateway is killed after each of so many words."""
    gates = [Gate() for _ in points]
    begins = [0, *points]
    scripts = [until(end, gate, since) for gate, end, since in zip(gates, points, begins, strict=False)]
    upstream.play(*scripts, to_the_end(points[-1]))
    reading = life.begin(key)
    reading.read(points[0])
    stream, said, place = reading.stream, reading.frames, reading.place
    for gate, end in zip(gates[1:], points[1:], strict=True):
        life.killed()
        gate.wait()
        eventually(lambda end=end: life.state(stream)["text"].count(" ") >= end, "it is not gone on with")  # type: ignore[misc]
    life.killed()
    said += life.rest(stream, place)
    assert digest(text_of(said)) == digest("".join(WORDS))
    assert said.count(b"[DONE]") == 1
    assert said.endswith(b"data: [DONE]\n\n")
    assert life.state(stream)["outcome"] == "completed"


@pytest.mark.parametrize("points", [[5, 30]])
def test_whoever_was_cut_off_reads_the_rest(life: Life, upstream: Upstream, points: list[int]) -> None:
    read_through(life, upstream, "key", points)


@pytest.mark.soak
def test_hundreds_of_kills_lose_nothing(life: Life, upstream: Upstream) -> None:
    chance = random.Random(20)
    for number in range(200):
        points = sorted(chance.sample(range(1, len(WORDS)), chance.randint(1, 3)))
        read_through(life, upstream, f"key-{number}", points)
        upstream.reset()
