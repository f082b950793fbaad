"""Owns the fixtures that start scripted upstreams and gateways; leaves some tests out unless asked for."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import pytest
from openai import OpenAI

from tests.gateway import Config, Gateway, gateway_config
from tests.upstream import Upstream

# Markers of tests that run only when -m names what to run.
LEFT_OUT = ("soak", "clients")


class StartGateway(Protocol):
    def __call__(
        self,
        config: Config | None,
        *,
        arguments: Sequence[str] = ("--port", "0"),
        environment: Mapping[str, str] | None = None,
        copied: bool = True,
    ) -> Gateway: ...


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.option.markexpr:
        return
    left_out = [item for item in items if any(map(item.get_closest_marker, LEFT_OUT))]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not any(map(item.get_closest_marker, LEFT_OUT))]


def pytest_collection_finish() -> None:
    """What was imported stays: the garbage collector need not go through it again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def _shared_upstream() -> Iterator[Upstream]:
    with Upstream() as server:
        yield server


@pytest.fixture
def upstream(_shared_upstream: Upstream) -> Iterator[Upstream]:
    """This worker's scripted upstream, which the shared gateways call, with nothing queued or recorded."""
    _shared_upstream.reset()
    yield _shared_upstream
    problems = _shared_upstream.errors
    _shared_upstream.reset()
    assert problems == [], "a script failed"


@pytest.fixture(scope="session")
def _patient_gateway(
    _shared_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("gateway")
    running = Gateway(folder, gateway_config(_shared_upstream.url), copied=False)
    yield running
    running.stop()


@pytest.fixture(scope="session")
def _eager_gateway(_shared_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    quick = gateway_config(_shared_upstream.url, server={"header_hold": "100ms", "keep_alive": "150ms"})
    running = Gateway(tmp_path_factory.mktemp("eager"), quick)
    yield running
    running.stop()


@pytest.fixture
def gateway(_patient_gateway: Gateway, upstream: Upstream) -> Gateway:
    """This worker's gateway, shared between tests; it holds headers for 3 s and keeps alive after 5 s."""
    return _patient_gateway


@pytest.fixture
def eager_gateway(_eager_gateway: Gateway, upstream: Upstream) -> Gateway:
    """The same, but headers are committed after 100 ms and no silence exceeds 150 ms."""
    return _eager_gateway


@pytest.fixture
def start_gateway(tmp_path: Path) -> Iterator[StartGateway]:
    """Starts gateways with configurations of the test's own, and stops them at its end."""
    running: list[Gateway] = []

    def start(
        config: Config | None,
        *,
        arguments: Sequence[str] = ("--port", "0"),
        environment: Mapping[str, str] | None = None,
        copied: bool = True,
    ) -> Gateway:
        folder = tmp_path / f"gateway-{len(running)}"
        folder.mkdir(exist_ok=True)
        gateway = Gateway(folder, config, arguments, environment, copied=copied)
        running.append(gateway)
        return gateway

    yield start
    for gateway in running:
        gateway.stop()


@pytest.fixture
def client(gateway: Gateway) -> Iterator[OpenAI]:
    """The official SDK against the shared gateway, without retries of its own."""
    with OpenAI(base_url=gateway.base_url, api_key="sk-test", max_retries=0, timeout=20) as sdk:
        yield sdk


OpenClient = Callable[[Gateway], OpenAI]


@pytest.fixture
def open_client() -> Iterator[OpenClient]:
    """Opens the official SDK against a gateway of the test's choice."""
    opened: list[OpenAI] = []

    def connect(gateway: Gateway) -> OpenAI:
        sdk = OpenAI(base_url=gateway.base_url, api_key="sk-test", max_retries=0, timeout=20)
        opened.append(sdk)
        return sdk

    yield connect
    for sdk in opened:
        sdk.close()
