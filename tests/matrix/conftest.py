"""Owns the gateways of the matrix: one model for each dialect, and one for each pair of dialects."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.gateway import Config, Gateway, gateway_config
from tests.matrix.pairs import NAMES
from tests.upstream import Upstream


def config_for(upstream: Upstream, **sections: object) -> Config:
    """A model named after its upstream's dialect, and `a-then-b` that falls back from one to the other.

    `a-after-which-b` does so too, and has deployments of its own."""
    providers = {
        name: {"base_url": f"{upstream.url}/v1", "dialect": name, "api_key": "sk-up"} for name in NAMES
    }
    once = {"retry": {"attempts": 1}}
    models = {name: {"use": [f"{name}/mock"], **once} for name in NAMES}
    for first in NAMES:
        for second in NAMES:
            models[f"{first}-then-{second}"] = {"use": [f"{first}/first", f"{second}/second"], **once}
            own = [f"{first}/before-{second}", f"{second}/second"]
            models[f"{first}-after-which-{second}"] = {"use": own, **once}
    return gateway_config(upstream.url, providers=providers, models=models, **sections)


@pytest.fixture(scope="session")
def _matrix(_shared_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    running = Gateway(tmp_path_factory.mktemp("matrix"), config_for(_shared_upstream))
    yield running
    running.stop()


@pytest.fixture(scope="session")
def _eager_matrix(_shared_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    quick = config_for(_shared_upstream, server={"header_hold": "20ms", "keep_alive": "100ms"})
    running = Gateway(tmp_path_factory.mktemp("eager-matrix"), quick)
    yield running
    running.stop()


@pytest.fixture
def matrix(_matrix: Gateway, upstream: Upstream) -> Gateway:
    """This worker's gateway, whose models are all behind the one scripted upstream."""
    return _matrix


@pytest.fixture
def eager_matrix(_eager_matrix: Gateway, upstream: Upstream) -> Gateway:
    """The same, but it commits headers at once and lets no silence last."""
    return _eager_matrix
