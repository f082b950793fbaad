"""One long answer to three readers, while everything between them and the model breaks.

This is the session of docs/how-to/never-lose-a-token.md: the official SDK through the wrapper, curl, and
``tidegate resume``. The client's network is cut twice, the upstream dies once, the gateway is killed once.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.chat import chunk
from tests.client.sdks import MESSAGES, openai_client
from tests.cutting_proxy import Cut, CuttingProxy
from tests.gateway import Gateway, clean_environment, eventually, gateway_config
from tests.raw_http import fetch
from tests.script import End, Gate, Head, Reach, Reset, Script, Send, Stall, WaitFor
from tests.upstream import Upstream
from tidegate.client import Patience

WORDS = [f"word{number} " for number in range(300)]
WHOLE = "".join(WORDS)
DIES, KILLED = 100, 200
"""After so many words the upstream dies, and the gateway is killed."""

PATIENT = Patience(give_up=60.0, first=0.05, longest=0.5, silence=30.0)


def frames(words: list[str], finish: str | None = None) -> bytes:
    chunks = [chunk(content=word) for word in words]
    if finish is not None:
        chunks.append(chunk(finish=finish))
    return b"".join(f"data: {json.dumps(each)}\n\n".encode() for each in chunks)


class Curl:
    """A reader that only counts frames: after each broken connection it asks for the rest with ``?skip=``."""

    def __init__(self, url: str, stream: str) -> None:
        self._url = f"{url}/v1/streams/{stream}"
        self.body = b""
        self.calls = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def done(self) -> bool:
        return self.body.endswith(b"data: [DONE]\n\n")

    @property
    def text(self) -> str:
        lines = self.body.decode().split("\n\n")
        told = (json.loads(line.removeprefix("data: ")) for line in lines if line and "[DONE]" not in line)
        return "".join(each["choices"][0]["delta"].get("content", "") for each in told)

    def wait(self, seconds: float) -> None:
        self._thread.join(seconds)
        assert self.done, f"curl has {len(self.body)} bytes after {self.calls} calls"

    def _run(self) -> None:
        while not self.done:
            self.calls += 1
            skip = self.body.count(b"\n\n")
            command = ["curl", "-sNf", "--max-time", "60", f"{self._url}?skip={skip}"]
            said = subprocess.run(command, capture_output=True, check=False).stdout
            self.body += _whole_frames(said)
            if not said:
                threading.Event().wait(0.05)


def _whole_frames(body: bytes) -> bytes:
    """Without a frame that was cut, and without keep-alives, which do not count."""
    found = (frame + b"\n\n" for frame in body.split(b"\n\n")[:-1])
    return b"".join(frame for frame in found if b'"delta":{},"finish_reason":null' not in frame)


@contextmanager
def resuming(url: str, stream: str, shown: Path) -> Iterator[subprocess.Popen[bytes]]:
    """``tidegate resume`` as somebody types it in another terminal, which is the file ``shown``."""
    command = [sys.executable, "-m", "tidegate", "resume", stream, "--url", url]
    environment = {**clean_environment(), "TIDEGATE_HOME": str(shown.parent)}
    with (
        shown.open("wb") as output,
        subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.PIPE
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


class Asked:
    """The official SDK in a thread, through the transport that survives."""

    def __init__(self, url: str) -> None:
        self.text = ""
        self.stream = ""
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._run, args=(url,), daemon=True)
        self._thread.start()

    def _run(self, url: str) -> None:
        try:
            with openai_client(url, PATIENT) as client:
                raw = client.chat.completions.with_raw_response.create(
                    model="long", messages=MESSAGES, stream=True
                )
                self.stream = raw.headers["tidegate-stream"]
                for each in raw.parse():
                    self.text += each.choices[0].delta.content or ""
        except Exception as error:
            self.error = error

    def has(self, words: int) -> Callable[[], bool]:
        return lambda: self.error is not None or self.text.count(" ") >= words

    def wait(self, seconds: float) -> None:
        self._thread.join(seconds)
        assert self.error is None, self.error
        assert not self._thread.is_alive()


def scripts(said: Gate, killed: Gate) -> list[Script]:
    """What the upstream does each time it is asked: it dies, it is left alone, it finishes."""
    return [
        [Head(), Send(frames(WORDS[:DIES]), each=97), WaitFor(said), Reset()],
        [Head(), Send(frames(WORDS[DIES:KILLED]), each=101), Reach(killed), Stall()],
        [Head(), Send(frames(WORDS[KILLED:], "stop"), each=89), Send(b"data: [DONE]\n\n"), End()],
    ]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_three_readers_end_with_the_same_text(upstream: Upstream, tmp_path: Path) -> None:
    said, killed = Gate(), Gate()
    upstream.play(*scripts(said, killed))
    config = gateway_config(upstream.url)
    config["providers"]["up"]["continues"] = "continue_final_message"
    config["models"]["long"] = {"use": ["up/mock"], "retry": {"backoff": "10ms"}}
    folder = tmp_path / "gateway"
    folder.mkdir()
    gateway = Gateway(folder, config)
    with CuttingProxy(gateway.address) as proxy:
        proxy.plan(Cut(3000), Cut(9000, "reset"))  # the network of the SDK's client goes twice
        sdk = Asked(proxy.url)
        eventually(lambda: bool(sdk.stream or sdk.error), "the SDK was not answered")
        curl = Curl(gateway.url, sdk.stream)
        shown = tmp_path / "shown"
        with resuming(gateway.url, sdk.stream, shown) as terminal:
            eventually(lambda: shown.stat().st_size > 0, "the terminal shows nothing", 15)
            eventually(sdk.has(DIES), "the SDK has not read what came before the upstream died")
            said.open()
            eventually(sdk.has(KILLED), "the SDK has not read what another attempt went on with")
            killed.wait()
            again = killed_and_started_again(gateway, config)
            try:
                sdk.wait(30)
                curl.wait(30)
                _, complaints = terminal.communicate(timeout=30)
                assert terminal.returncode == 0, complaints
                state = stream_state(again, sdk.stream)
                rows = usage(again)
            finally:
                again.stop()
    shown_by_then = ["".join(WORDS[:DIES]), "".join(WORDS[:KILLED])]
    prefixes = [upstream.request(number).json["messages"][-1]["content"] for number in (1, 2)]
    told = [sdk.text, curl.text, shown.read_text().strip() + " "]
    assert [digest(text) for text in told] == [digest(WHOLE)] * 3
    outcomes = [attempt["outcome"] for attempt in state["attempts"]]
    assert outcomes == ["failed", "interrupted", "completed"]
    assert [seam["characters"] for seam in state["seams"]] == [len(text) for text in shown_by_then]
    assert [row["generations"] for row in rows] == [1]
    assert prefixes == [text.rstrip() for text in shown_by_then]


def killed_and_started_again(gateway: Gateway, config: dict[str, Any]) -> Gateway:
    """The gateway after SIGKILL, on the same address and with the same data folder."""
    gateway.kill()
    (gateway.folder / "server.json").unlink()
    return Gateway(gateway.folder, config, arguments=("--port", str(gateway.address[1])))


def stream_state(gateway: Gateway, stream: str) -> Any:
    return fetch(gateway.address, "GET", f"/v1/streams/{stream}", headers={"Accept": "application/json"}).json


def usage(gateway: Gateway) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "tidegate", "usage", "--json"]
    environment = {**clean_environment(), "TIDEGATE_HOME": str(gateway.folder)}
    said = subprocess.run(command, env=environment, cwd=gateway.folder, capture_output=True, check=True)
    found: list[dict[str, Any]] = json.loads(said.stdout)
    return found


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()
