"""Builds the application from a Config: the only place that wires everything together."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp

from tidegate.access import KeyRing
from tidegate.config import Config, Model, Provider, Retry, local_providers
from tidegate.core.event import Failure, Outcome
from tidegate.core.source import Source
from tidegate.dialects import load_dialect
from tidegate.engines import Engine, EngineSettings, read_gguf
from tidegate.errors import ConfigError, SourceError
from tidegate.generation import Gateway
from tidegate.net import Pool
from tidegate.observe.access_log import AccessLog
from tidegate.observe.metrics import Metrics
from tidegate.routing.attempt import Attempts
from tidegate.routing.health import Health
from tidegate.routing.table import Deployment, Route, Routes
from tidegate.server.application import application
from tidegate.server.generate import Service
from tidegate.server.urls import GENERATIONS
from tidegate.sources.demo import DemoSource
from tidegate.sources.discovery import Found, discover
from tidegate.sources.engine import EngineSource
from tidegate.sources.upstream import Upstream, UpstreamSource, upstream
from tidegate.streams.registry import Stream, Streams

DEMO = "demo"
NO_ROUTES = Routes((), None, lambda _: None)


class SystemClock:
    """The clocks of this machine; monotonic time is the event loop's, which costs nothing to ask."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.monotonic = loop.time

    def now_ms(self) -> int:
        """See :class:`tidegate.core.clock.Clock`."""
        return time.time_ns() // 1_000_000


class Watch:
    """Feeds metrics and the access log with how attempts and generations ended."""

    def __init__(self, metrics: Metrics, access_log: AccessLog, clock: SystemClock) -> None:
        self._metrics = metrics
        self._access_log = access_log
        self._clock = clock
        self.routes: Routes = NO_ROUTES

    def attempted(self, deployment: str, error: SourceError | None) -> None:
        """See :class:`tidegate.routing.attempt.Observer`."""
        self._metrics.attempted(deployment, "" if error is None else error.code or error.type)

    def generated(self, stream: Stream, outcome: Outcome, error: Failure | None) -> None:
        """See :class:`tidegate.generation.Observer`."""
        producer, header = stream.producer, stream.header
        seconds = self._clock.monotonic() - producer.begun_at
        first = None if producer.first_delta_at is None else producer.first_delta_at - producer.begun_at
        error_type = "" if error is None else error.code or error.type
        label = header.model if self.routes.get(header.model) is not None else "other"
        self._metrics.generated(label, error_type, seconds, first, producer.deltas)
        self._access_log.generated(
            header.caller, header.model, outcome, error, seconds, first, producer.deltas, header.id
        )


class Application:
    """One running gateway: :meth:`apply` looks at the world, :meth:`close` lets go of it."""

    def __init__(self, config: Config, environ: Mapping[str, str], loop: asyncio.AbstractEventLoop) -> None:
        self.config = config
        self.found: list[Found] = []
        self._environ = environ
        self._clock = SystemClock(loop)
        self._pool = Pool(self._clock.monotonic)
        self._engines: dict[EngineSettings, Engine] = {}
        self._health: dict[str, Health] = {}
        self.metrics = Metrics()
        access_log = AccessLog()
        self._watch = Watch(self.metrics, access_log, self._clock)
        self.gateway = Gateway(
            NO_ROUTES,
            Streams(self._clock),
            Attempts(self._clock, random.random, self._watch),
            self._watch,
            self._clock,
            lambda: os.urandom(16).hex(),
            config.server.max_streams,
        )
        dialects = {name: load_dialect(name) for name in GENERATIONS.values()}
        self.service = Service(self.gateway, dialects, access_log)
        self.asgi: ASGIApp = application(self.service, self.metrics)

    async def start(self) -> None:
        """Find out what there is and open the routes."""
        await self.apply(self.config)

    async def apply(self, config: Config) -> None:
        """Take a configuration. Streams that are live go on with what they began with."""
        providers = dict(config.providers)
        if config.source_path is None:
            providers.update((local.name, local) for local in local_providers(self._environ))
        found = await discover(providers.values(), self._pool)
        present = {
            each.provider.name: each.provider
            for each in found
            if each.provider.name in config.providers or each.problem is None
        }
        routes = self._routes(config, present, found)
        self.config = config
        self.found = [each for each in found if each.provider.name in present]
        self.service.apply(config, KeyRing(config.auth))
        self.gateway.routes = self._watch.routes = routes

    async def close(self) -> None:
        """Stop engines and connections."""
        await asyncio.gather(*(engine.stop() for engine in self._engines.values()))
        self._pool.close()

    # Wiring

    def _routes(self, config: Config, providers: Mapping[str, Provider], found: list[Found]) -> Routes:
        upstreams = {name: upstream(each, self._pool, self._clock) for name, each in providers.items()}
        routes: dict[str, Route] = {}
        for model in config.models.values():
            routes[model.name] = self._configured(model, upstreams)
        for path in config.server.gguf:
            routes.setdefault(path.stem, self._configured(Model(name=path.stem, gguf=path), upstreams))
        if not config.models:
            for each in found:
                for name, facts in each.models.items():
                    if name not in routes:
                        server = upstreams[each.provider.name]
                        routes[name] = self._listed(config, name, server, facts)
        demo = DemoSource(config.demo.delay)
        routes.setdefault(DEMO, self._route(config, DEMO, DEMO, demo, {"owned_by": "tidegate"}))
        default = config.default_model
        if default is None and config.source_path is None:
            default = next(iter(routes))
        table = Routes(routes.values(), default, self._pass_through(config, upstreams))
        if default is not None and config.default_model is not None:
            self._check_default(table, default)
        return table

    def _check_default(self, table: Routes, default: str) -> None:
        try:
            table.resolve(default)
        except Exception as error:
            raise ConfigError(f"default_model: {error}") from None

    def _configured(self, model: Model, upstreams: Mapping[str, Upstream]) -> Route:
        """The route of a model that the configuration names."""
        facts: dict[str, Any] = {"owned_by": "tidegate"}
        if model.gguf is not None:
            source, facts = self._engine_source(model, model.gguf)
            deployments = [Deployment(model.name, source, self._health_of(f"engine/{model.name}"))]
        else:
            deployments = [
                Deployment(
                    f"{each.provider}/{each.model}",
                    UpstreamSource(upstreams[each.provider], each.model, model.timeouts.connect),
                    self._health_of(f"{each.provider}/{each.model}"),
                    each.weight,
                    each.limits.max_streams,
                )
                for each in model.use
            ]
        return Route(model.name, tuple(deployments), model.timeouts, model.retry, model.on_disconnect, facts)

    def _listed(self, config: Config, name: str, server: Upstream, facts: Mapping[str, Any]) -> Route:
        """The route of a model that a provider listed."""
        source = UpstreamSource(server, name, config.timeouts.connect)
        told = {"owned_by": facts.get("owned_by") or server.name, "created": facts.get("created") or 0}
        length = facts.get("context_length") or facts.get("max_model_len") or facts.get("context_window")
        return self._route(config, name, f"{server.name}/{name}", source, {**told, "context_length": length})

    def _pass_through(
        self, config: Config, upstreams: Mapping[str, Upstream]
    ) -> Callable[[str], Route | None]:
        """``provider/model`` reaches any model of a provider, listed or not."""

        def find(name: str) -> Route | None:
            provider, _, model = name.partition("/")
            server = upstreams.get(provider)
            if server is None or not model:
                return None
            # Callers choose these names, so nothing may be kept for each of them.
            source = UpstreamSource(server, model, config.timeouts.connect)
            return self._route(config, model, f"{provider}/*", source, {"owned_by": provider})

        return find

    def _route(
        self, config: Config, model: str, deployment: str, source: Source, facts: Mapping[str, Any]
    ) -> Route:
        health = self._health_of(deployment)
        return Route(model, (Deployment(deployment, source, health),), config.timeouts, Retry(), facts=facts)

    def _health_of(self, deployment: str) -> Health:
        """The health of a deployment, kept over reloads."""
        health = self._health.get(deployment)
        if health is None:
            health = self._health[deployment] = Health(self._clock)
        return health

    def _engine_source(self, model: Model, path: Path) -> tuple[Source, dict[str, Any]]:
        facts = read_gguf(path)
        settings = EngineSettings(model.name, path, context=model.context, threads=model.threads)
        engine = self._engines.get(settings)
        if engine is None:
            engine = self._engines[settings] = Engine(settings)
        source = EngineSource(engine, self._pool, self._clock, model.timeouts.connect)
        told = {"owned_by": "local", "context_length": model.context or facts.context_length}
        return source, told
