"""Owns what the tests of this folder share: a gateway that is killed and started again, and an upstream whose
answers are known word by word."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.chat import DONE, chunk, frame
from tests.chat_stream import ChatAnswer, body_for, parse, payloads, post_chat
from tests.gateway import Config, Gateway, gateway_config
from tests.raw_http import RawConnection, Response, fetch, request_bytes
from tests.script import End, Head, Pause, Script, Send, Stall, Step
from tests.upstream import Request, Upstream

WORDS = [f"word{number} " for number in range(60)]
WHOLE = "".join(WORDS)
HALF = 30
FINISH = Send(frame(chunk(finish="stop")))
LAST: Script = (FINISH, Send(DONE), End())


def crash_config(upstream: Upstream, **sections: Any) -> Config:
    """`long` can be gone on with after a break, `m` cannot."""
    config = gateway_config(upstream.url, **sections)
    config["providers"]["goes-on"] = {
        "base_url": f"{upstream.url}/v1",
        "dialect": "openai-chat",
        "api_key": "sk-up",
        "continues": "continue_final_message",
    }
    config["models"]["long"] = {"use": ["goes-on/mock"], "retry": {"backoff": "10ms"}}
    return config


class Home:
    """A data folder and the gateway that runs in it now."""

    def __init__(self, folder: Path, config: Config) -> None:
        self.folder = folder
        self.config = config
        folder.mkdir(exist_ok=True)
        self.gateway = Gateway(folder, config)

    def kill(self) -> None:
        self.gateway.kill()
        (self.folder / "server.json").unlink(missing_ok=True)

    def start(self) -> None:
        self.gateway = Gateway(self.folder, self.config)

    def kill_and_start(self) -> None:
        self.kill()
        self.start()

    def post(self, label: str, model: str = "long", key: str | None = None, **more: Any) -> Response:
        """The whole answer to a request that is told from others by its ``label``."""
        return post_chat(self.gateway.address, body_for(label, model=model, **more), keyed(key or label))

    def repeat(self, label: str, model: str = "long", **more: Any) -> ChatAnswer:
        return parse(self.post(label, model, **more))

    def events(self, stream: str) -> Response:
        return fetch(self.gateway.address, "GET", f"/v1/streams/{stream}")

    @property
    def slots(self) -> list[str]:
        return [path.name for path in (self.folder / "streams").iterdir()]


@contextmanager
def at_home(folder: Path, config: Config) -> Iterator[Home]:
    home = Home(folder, config)
    try:
        yield home
    finally:
        home.gateway.kill()


def keyed(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key}


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


class Reading:
    """A client that reads a streamed answer in a thread for as long as it comes."""

    def __init__(self, home: Home, label: str, model: str, headers: Mapping[str, str], **more: Any) -> None:
        self._begin(home, "/v1/chat/completions", body_for(label, model=model, **more), headers)

    def _begin(self, home: Home, path: str, body: Any, headers: Mapping[str, str]) -> None:
        self.body = b""
        self.stream = ""
        self._connection = RawConnection(home.gateway.address, timeout=20)
        self._connection.send(request_bytes("POST", path, body, headers))
        self.changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            head = self._connection.read_head()
            with self.changed:
                self.stream = head.get("tidegate-stream") or ""
            for data in self._connection.chunks():
                with self.changed:
                    self.body += data
                    self.changed.notify_all()
        except (OSError, EOFError):
            pass
        finally:
            self._connection.close()
            with self.changed:
                self.changed.notify_all()

    def leave(self) -> None:
        """Hang up, as a program does that is ended."""
        self._connection.socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(20)

    def has(self, mark: str) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: mark.encode() in self.body, 20), (mark, self.body[-300:])

    def ended(self) -> bytes:
        """All that came, whole frames only, once nothing more comes."""
        self._thread.join(20)
        assert not self._thread.is_alive()
        return self.body[: self.body.rfind(b"\n\n") + 2]


def frames_of(body: bytes) -> list[str]:
    """The frames of an answer without keep-alives, which are nobody's words."""
    return [each for each in payloads(body) if '"delta":{},"finish_reason":null' not in each]


class Answers:
    """An upstream's side: the n-th time that it is asked with a label, it plays the n-th script for that."""

    def __init__(self, upstream: Upstream) -> None:
        self._scripts: dict[str, list[Callable[[Request], Script]]] = {}
        self.asked: dict[str, list[Request]] = {}
        upstream.answer = self._answer

    def play(self, label: str, *scripts: Callable[[Request], Script]) -> None:
        self._scripts[label] = list(scripts)

    def _answer(self, request: Request) -> Script:
        label = request.json["messages"][0]["content"]
        asked = self.asked.setdefault(label, [])
        asked.append(request)
        scripts = self._scripts.get(label, [rest])
        return scripts[min(len(asked), len(scripts)) - 1](request)


def words_before(request: Request) -> int:
    """How many words the request gives as the beginning of the answer."""
    last = request.json["messages"][-1]
    return len(last["content"].split()) if last["role"] == "assistant" else 0


def rest(request: Request) -> Script:
    """All that is missing of the answer."""
    return [
        Head(),
        *said(words_before(request), len(WORDS)),
        *LAST,
    ]


def slowly(request: Request) -> Script:
    """The same, a word every few milliseconds."""
    steps: list[Step] = [Head()]
    for number in range(words_before(request), len(WORDS)):
        steps += [*said(number, number + 1), Pause(0.003)]
    return [*steps, *LAST]


def upto(last: int) -> Callable[[Request], Script]:
    """Some words, and then nothing more."""

    def script(request: Request) -> Script:
        return [Head(), *said(words_before(request), last), Stall()]

    return script


def said(first: int, last: int) -> list[Step]:
    """Words as an upstream sends them."""
    return [Send(frame(chunk(word))) for word in WORDS[first:last]]
