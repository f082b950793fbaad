"""Owns what the tests of workspaces in real processes share: who asks, and who reads meanwhile."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from typing import Any
from zlib import crc32

from tests.chat import completion, plain, text_stream
from tests.crash.killing import Home, Reading
from tests.gateway import Config, Gateway, gateway_config
from tests.raw_http import Response, fetch
from tests.script import Script
from tests.upstream import Request

HARBOUR = (
    "# The harbour\n\nThe harbour of Varn opens at six in the morning. Ships longer than ninety metres need "
    "a pilot.\n\n## Fees\n\nThe mooring fee is forty crowns a night, and children of sailors pay nothing."
)
QUESTION = "When does the harbour open?"
SAME = {"pharos": "lighthouse"}
"""Words that mean the same, as vectors know and texts do not."""
ANSWER = ("It opens ", "at six.")


def answers(request: Request) -> Script:
    """An upstream that says the same to everybody, and makes vectors."""
    if request.path.endswith("/embeddings"):
        return vectors(request)
    return text_stream(ANSWER) if request.json.get("stream") else plain(completion("".join(ANSWER)))


def vectors(request: Request, dimensions: int = 512) -> Script:
    """Vectors that are near each other when texts have the same words."""
    rows = [
        {"object": "embedding", "index": number, "embedding": vector_of(text, dimensions)}
        for number, text in enumerate(request.json["input"])
    ]
    usage = {"prompt_tokens": 3 * len(rows), "total_tokens": 3 * len(rows)}
    return plain({"object": "list", "model": request.json["model"], "data": rows, "usage": usage})


def vector_of(text: str, dimensions: int) -> list[float]:
    vector = [0.01] * dimensions
    for word in re.findall(r"\w+", text.lower()):
        vector[crc32(SAME.get(word, word).encode()) % dimensions] += 1.0
    return vector


def embedded(requests: list[Request]) -> list[Request]:
    """Those that ask for vectors."""
    return [each for each in requests if each.path.endswith("/embeddings")]


def rows(gateway: Gateway, query: str, *values: Any) -> list[Any]:
    """What the store of a gateway says, whether it runs or not."""
    with closing(sqlite3.connect(gateway.folder / "tidegate.db", timeout=20)) as connection, connection:
        return connection.execute(query, values).fetchall()


def with_embedder(url: str, **sections: Any) -> Config:
    """The settings of a gateway whose workspaces have vectors of the scripted upstream."""
    config = gateway_config(url, **sections)
    config["models"]["embed"] = {"use": ["up/embed-1"], "retry": {"attempts": 1}}
    config["models"]["other"] = {"use": ["up/embed-2"], "retry": {"attempts": 1}}
    config.setdefault("workspaces", {"embedder": "embed"})
    return config


class Desk:
    """A caller of AnythingLLM's API with one workspace; ``gateway`` may be replaced by the one after it."""

    def __init__(self, gateway: Gateway, name: str = "Docs", key: str | None = None, **settings: Any) -> None:
        self.gateway = gateway
        self.headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self.slug: str = self.post("/workspace/new", name=name, **settings)["workspace"]["slug"]

    def send(self, method: str, path: str, body: Any = None) -> Response:
        return fetch(self.gateway.address, method, f"/api/v1{path}", body, self.headers, timeout=60)

    def post(self, path: str, **body: Any) -> Any:
        return self._told(self.send("POST", path, body))

    def get(self, path: str) -> Any:
        return self._told(self.send("GET", path))

    @staticmethod
    def _told(response: Response) -> Any:
        assert response.status == 200, (response.status, response.body)
        return response.json

    def add(self, text: str = HARBOUR, title: str = "Harbour guide", *, place: bool = True) -> str:
        """Bring a text in; where it is."""
        into = {"addToWorkspaces": self.slug} if place else {}
        told = self.post("/document/raw-text", textContent=text, metadata={"title": title}, **into)
        location: str = told["documents"][0]["location"]
        return location

    def upload(self, name: str, text: str, slug: str | None = None) -> str:
        """Send a file; where it is."""
        edge = "tests-edge"
        parts = [
            ("addToWorkspaces", "", self.slug if slug is None else slug),
            ("file", f'; filename="{name}"', text),
        ]
        body = "".join(
            f'--{edge}\r\nContent-Disposition: form-data; name="{part}"{more}\r\n\r\n{value}\r\n'
            for part, more, value in parts
        )
        response = fetch(
            self.gateway.address,
            "POST",
            "/api/v1/document/upload",
            f"{body}--{edge}--\r\n".encode(),
            {**self.headers, "Content-Type": f"multipart/form-data; boundary={edge}"},
            timeout=60,
        )
        location: str = self._told(response)["documents"][0]["location"]
        return location

    def embed(self, *adds: str, deletes: tuple[str, ...] = ()) -> Any:
        """Have the workspace answer from documents, and from others no more."""
        return self.post(f"/workspace/{self.slug}/update-embeddings", adds=list(adds), deletes=list(deletes))

    def documents(self) -> list[dict[str, Any]]:
        (told,) = self.get(f"/workspace/{self.slug}")["workspace"]
        found: list[dict[str, Any]] = told["documents"]
        return found

    def search(self, query: str, top: int = 4, threshold: float | None = None) -> list[dict[str, Any]]:
        """What a search finds, the best first."""
        more = {} if threshold is None else {"scoreThreshold": threshold}
        told = self.post(f"/workspace/{self.slug}/vector-search", query=query, topN=top, **more)
        found: list[dict[str, Any]] = told["results"]
        return found

    def ask(self, message: str = QUESTION, mode: str = "query", **more: Any) -> list[dict[str, Any]]:
        """The frames of an answer."""
        response = self.send("POST", self.path, {"message": message, "mode": mode, **more})
        assert response.status == 200, response.body
        return frames(response.body)

    @property
    def path(self) -> str:
        return f"/workspace/{self.slug}/stream-chat"

    def history(self) -> list[tuple[str, str]]:
        """Who said what."""
        told = self.get(f"/workspace/{self.slug}/chats")["history"]
        return [(each["role"], each["content"]) for each in told]


class DeskReading(Reading):
    """A client that reads the answer of a workspace in a thread for as long as it comes."""

    def __init__(
        self, home: Home, desk: Desk, headers: Mapping[str, str] | None = None, **asked: Any
    ) -> None:
        body = {"message": QUESTION, "mode": "query", **asked}
        self._begin(home, f"/api/v1{desk.path}", body, {**desk.headers, **(headers or {})})


def frames(body: bytes) -> list[dict[str, Any]]:
    """The frames of AnythingLLM's dialect."""
    lines = [line for line in body.decode().split("\n") if line]
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def said(told: list[dict[str, Any]]) -> str:
    return "".join(frame.get("textResponse") or "" for frame in told)
