"""Owns the gateway that asks for keys, and callers that it has not seen yet."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, TypeVar

import pytest

from tests import forked
from tests.gateway import Gateway, clean_environment, gateway_config
from tests.raw_http import Response, fetch
from tests.upstream import Upstream
from tidegate.store.chats import ChatStore, NewChat
from tidegate.store.database import Database
from tidegate.store.workspaces import WorkspaceStore

KEYS = tuple(f"sk-workspace-{number}" for number in range(200))
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Member:
    """A caller with a key of their own."""

    gateway: Gateway
    key: str

    def ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        told = {"Authorization": f"Bearer {self.key}", **(headers or {})}
        return fetch(self.gateway.address, method, f"/api/v1{path}", body, told)

    def get(self, path: str) -> Any:
        response = self.ask("GET", path)
        assert response.status == 200, response
        return response.json

    def post(self, path: str, **body: Any) -> Any:
        response = self.ask("POST", path, body)
        assert response.status == 200, response
        return response.json

    def new(self, name: str = "My docs", **settings: Any) -> Any:
        """A new workspace's object."""
        return self.post("/workspace/new", name=name, **settings)["workspace"]

    def add_chat(self, workspace: int, prompt: str = "Why?", **more: Any) -> int:
        """Keep a chat in the store of the running gateway, as an answer would."""
        response = {"text": "Because.", "type": "chat", "sources": [], "metrics": {}}
        told = {"response": response, **more}
        number = in_store(
            self.gateway, lambda _, chats: chats.add(NewChat(workspace=workspace, prompt=prompt, **told))
        )
        assert number is not None
        return number


def in_store(gateway: Gateway, work: Callable[[WorkspaceStore, ChatStore], Awaitable[T]]) -> T:
    """What a work comes to on the store of a running gateway, which other processes may write too."""

    async def main() -> T:
        database = Database(gateway.folder / "tidegate.db")
        await database.open()
        try:
            return await work(
                WorkspaceStore(database, lambda: 1_800_000_000_123),
                ChatStore(database, lambda: 1_800_000_000_123),
            )
        finally:
            await database.close()

    return asyncio.run(main())


def workspaces_config(**sections: Any) -> dict[str, Any]:
    return gateway_config("http://127.0.0.1:1", auth={"list": list(KEYS)}, **sections)


@pytest.fixture(scope="module")
def _keyed_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, Iterator[str]]]:
    gateway = Gateway(tmp_path_factory.mktemp("workspaces"), workspaces_config(server={"max_body": "200KiB"}))
    yield gateway, iter(KEYS)
    gateway.stop()
    assert "Traceback" not in gateway.output()


@pytest.fixture
def member(_keyed_gateway: tuple[Gateway, Iterator[str]]) -> Member:
    """A caller whom the gateway has not seen yet."""
    gateway, keys = _keyed_gateway
    return Member(gateway, next(keys))


@pytest.fixture
def other(_keyed_gateway: tuple[Gateway, Iterator[str]]) -> Member:
    """Another one."""
    gateway, keys = _keyed_gateway
    return Member(gateway, next(keys))


@pytest.fixture(scope="module")
def _answering_gateway(
    tmp_path_factory: pytest.TempPathFactory, _shared_upstream: Upstream
) -> Iterator[tuple[Gateway, Iterator[str]]]:
    config = gateway_config(_shared_upstream.url, auth={"list": list(KEYS)})
    gateway = Gateway(tmp_path_factory.mktemp("answering"), config)
    yield gateway, iter(KEYS)
    gateway.stop()
    assert "Traceback" not in gateway.output()


@pytest.fixture
def asker(_answering_gateway: tuple[Gateway, Iterator[str]], upstream: Upstream) -> Member:
    """A caller whom a gateway has not seen yet that asks the upstream."""
    gateway, keys = _answering_gateway
    return Member(gateway, next(keys))


@pytest.fixture
def stranger(_answering_gateway: tuple[Gateway, Iterator[str]], upstream: Upstream) -> Member:
    """Another one."""
    gateway, keys = _answering_gateway
    return Member(gateway, next(keys))


def limited_key(member: Member, *workspaces: str) -> Member:
    """The same caller with a key that is for some workspaces only."""
    caller = "key-" + sha256(b"tidegate caller " + sha256(member.key.encode()).digest()).hexdigest()[:12]
    folder = member.gateway.folder
    command = ["keys", "create", "--caller", caller, "--workspaces", ",".join(workspaces)]
    made = forked.run(command, folder, {**clean_environment(), "TIDEGATE_HOME": str(folder)})
    assert made.returncode == 0, made.stderr
    return Member(member.gateway, made.stdout.strip())
