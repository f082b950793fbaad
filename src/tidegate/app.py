"""Builds the application from a Config: the only place that wires everything together."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
from starlette.types import ASGIApp

from tidegate import config as config_module
from tidegate.access import KeyRing, StoredKeys, resolve
from tidegate.access.ledger import Ledger
from tidegate.config import Config, Model, Provider, Retry
from tidegate.config.home import home
from tidegate.core.source import Source
from tidegate.dialects import load_dialect
from tidegate.engines import Engine, EngineSettings, LocalEngine, read_gguf
from tidegate.errors import ConfigError, NotFound, SourceError, StoreError, TidegateError
from tidegate.generation import Gateway
from tidegate.net import Pool
from tidegate.observe.access_log import AccessLog
from tidegate.observe.metrics import Metrics
from tidegate.routing.attempt import Attempts
from tidegate.routing.calls import Calls
from tidegate.routing.health import Health
from tidegate.routing.table import Deployment, Route, Routes
from tidegate.server.application import application
from tidegate.server.generate import Service
from tidegate.server.urls import SERVED
from tidegate.server.watch import NO_ROUTES, Watch
from tidegate.sources.demo import DemoSource
from tidegate.sources.discovery import Found, all_providers, discover, heard, worth_telling
from tidegate.sources.engine import EngineSource
from tidegate.sources.told import told_facts
from tidegate.sources.upstream import Upstream, UpstreamSource, upstream
from tidegate.store.database import Database
from tidegate.store.files import FileStore
from tidegate.store.responses import StoredResponses
from tidegate.streams.places import Places
from tidegate.streams.recovery import recover
from tidegate.streams.registry import Streams

logger = logging.getLogger("tidegate")

DEMO = "demo"
_DEMO_FACTS = {"owned_by": "tidegate", "type": "chat"}
_KEYS_SECONDS = 1.0
"""How often the store is asked whether keys have changed."""

_RETIRING_SECONDS = 1.0
"""How often an engine that is no longer wanted is looked at, until its last stream has ended."""

_EXPIRY_SECONDS = 5.0
"""How often streams are looked for that are due to go."""


def random_id() -> str:
    """See :class:`tidegate.core.clock.Ids`."""
    return os.urandom(16).hex()


class SystemClock:
    """The clocks of this machine; monotonic time is the event loop's, which costs nothing to ask."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.monotonic = loop.time

    def now_ms(self) -> int:
        """See :class:`tidegate.core.clock.Clock`."""
        return time.time_ns() // 1_000_000


class Application:
    """One running gateway: :meth:`apply` looks at the world, :meth:`close` lets go of it."""

    def __init__(
        self,
        config: Config,
        environ: Mapping[str, str],
        loop: asyncio.AbstractEventLoop,
        *,
        make_engine: Callable[[EngineSettings], LocalEngine] = Engine,
        preloads: bool = True,
    ) -> None:
        """``preloads``: engines that are to be loaded at start are loaded by this process."""
        self.config = config
        self._make_engine = make_engine
        self._preloads = preloads
        self.found: list[Found] = []
        self.database = Database.at(config.store, environ)
        self._environ = environ
        self._clock = SystemClock(loop)
        self._pool = Pool(self._clock.monotonic)
        self._engines: dict[EngineSettings, LocalEngine] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._health: dict[str, Health] = {}
        self._places = Places(config.streams, home(environ) / "streams", self._clock, self.database)
        self.metrics = Metrics()
        access_log = AccessLog()
        self.keys = StoredKeys(self.database)
        self.ledger = Ledger(self.database)
        self._watch = Watch(self.metrics, access_log, self.ledger, self._clock)
        self.gateway = Gateway(
            NO_ROUTES,
            Streams(self._clock, self._places.open, config.streams.retain),
            Attempts(self._clock, random.random, self._watch),
            Calls(self._clock, random.random, self._watch),
            self._watch,
            self._clock,
            random_id,
            config.server.max_streams,
        )
        self.gateway.streams.archiving = self.ledger.flush
        self.gateway.streams.inherited = self._watch.inherited
        dialects = {name: load_dialect(name) for name in SERVED}
        files = FileStore(home(environ) / "files", random_id)
        responses = StoredResponses(self.database, self._clock.now_ms)
        self.service = Service(self.gateway, dialects, access_log, random_id, responses, files)
        self.asgi: ASGIApp = application(self.service, self.metrics)

    async def start(self, told: Sequence[Mapping[str, Any]] | None = None) -> None:
        """Open the store, find out what there is and open the routes. Raises ConfigError and StoreError."""
        await self.database.open()
        await self.apply(self.config, told)
        if self._places.slot is not None:
            streams = self.gateway.streams
            for each in await recover(self._places.folder, self._places.slot, streams):
                await self.service.take_over(each)
        self._own(self._follow_keys())
        self._own(self._expire())

    async def _expire(self) -> None:
        """Let go of streams that are due, as long as the gateway runs."""
        while True:
            await asyncio.sleep(_EXPIRY_SECONDS)
            try:
                await self.gateway.streams.archive.expire()
            except TidegateError as error:
                logger.error("streams that have expired wait for the store: %s", error.message)

    async def _follow_keys(self) -> None:
        """Notice keys that are made and revoked; the first one ends open access that nobody asked for."""
        told = ""
        while True:
            await asyncio.sleep(_KEYS_SECONDS)
            try:
                changed = await self.keys.refresh()
            except StoreError as error:
                if error.message != told:  # and not again each second
                    logger.error("keys cannot be looked up: %s", error.message)
                told = error.message
                continue
            told = ""
            if changed and self.service.keys.open:
                if self.config.auth.with_keys is not None:
                    logger.warning("no key is asked for until the next start: %s", self.config.auth.with_keys)
                else:
                    logger.info("the store holds a key now: from here on requests need one")
                    self._apply_access(self.config)

    def _apply_access(self, config: Config) -> None:
        auth = resolve(config.auth, len(self.keys))
        self.config = msgspec.structs.replace(config, auth=auth)
        self.service.apply(self.config, KeyRing(auth, self.keys, self._clock.now_ms))

    async def apply(self, config: Config, told: Sequence[Mapping[str, Any]] | None = None) -> None:
        """Take a configuration. Streams that are live go on with what they began with.

        ``told`` is what another process found at the providers, which then are not asked again.
        """
        await self.keys.refresh()
        resolve(config.auth, len(self.keys))
        providers = all_providers(config, self._environ)
        found = await discover(providers.values(), self._pool) if told is None else heard(told, providers)
        wiring = _Wiring(
            config, providers, self._engines, self._make_engine, self._health, self._pool, self._clock
        )
        routes = wiring.routes(found)
        retired = [engine for settings, engine in self._engines.items() if settings not in wiring.engines]
        self._engines = wiring.engines
        for engine in retired:
            self._retire(engine)
        for engine in wiring.preloaded if self._preloads else ():
            self._own(self._preload(engine))
        self.found = worth_telling(found, config)
        self._apply_access(config)
        self.gateway.routes = self._watch.routes = routes

    async def close(self) -> None:
        """Stop engines and connections; close the store, in which what has ended is noted, last."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(engine.stop() for engine in self._engines.values()))
        self._pool.close()
        self.ledger.flush()
        await self.gateway.streams.settle()
        self.gateway.streams.log.close()
        await self.database.close()
        if self._places.slot is not None and not self.gateway.streams.unsettled:
            self._places.slot.remove()

    def _retire(self, engine: LocalEngine) -> None:
        """Stop an engine that no route names any more, when its last stream has ended."""
        self._own(self._stop_when_idle(engine))

    def _own(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _preload(self, engine: LocalEngine) -> None:
        """Load a model before somebody asks for it; a failure is told, and tried again at first use."""
        try:
            await engine.ready()
        except SourceError as error:
            logger.error("%s was not loaded: %s", engine.settings.name, error.message)

    async def _stop_when_idle(self, engine: LocalEngine) -> None:
        health = self._health[_engine_deployment(engine.settings.name)]
        try:
            while health.open:  # noqa: ASYNC110 - a retired engine is in no hurry
                await asyncio.sleep(_RETIRING_SECONDS)
        finally:
            await engine.stop()


async def check_routes(config: Config, environ: Mapping[str, str]) -> None:
    """Raise the ConfigError that a start would raise for its routes: a default model that nobody has, say."""
    clock = SystemClock(asyncio.get_running_loop())
    pool = Pool(clock.monotonic)
    try:
        providers = all_providers(config, environ)
        found = [] if config.models else await discover(providers.values(), pool)
        _Wiring(config, providers, {}, Engine, {}, pool, clock).routes(found)
    finally:
        pool.close()


class _Wiring:
    """Makes the routes of one configuration. Takes over engines and health of the one before."""

    def __init__(
        self,
        config: Config,
        providers: Mapping[str, Provider],
        engines: Mapping[EngineSettings, LocalEngine],
        make_engine: Callable[[EngineSettings], LocalEngine],
        health: dict[str, Health],
        pool: Pool,
        clock: SystemClock,
    ) -> None:
        self.engines: dict[EngineSettings, LocalEngine] = {}
        self.preloaded: list[LocalEngine] = []
        self._make_engine = make_engine
        self._config = config
        self._running = engines
        self._health = health
        self._pool = pool
        self._clock = clock
        self._upstreams = {
            name: upstream(each, config.server.max_frame, pool, clock) for name, each in providers.items()
        }

    def routes(self, found: Sequence[Found]) -> Routes:
        """The routes: what is configured, else what was found, and the demo model last."""
        config = self._config
        routes = {model.name: self._configured(model) for model in config.models.values()}
        for path in config.server.gguf:
            if path.stem not in routes:
                model = Model(name=path.stem, gguf=path, timeouts=config.timeouts)
                routes[path.stem] = self._configured(model)
        if not config.models:
            for each in found:
                for name, facts in each.models.items():
                    if name not in routes:
                        routes[name] = self._listed(name, self._upstreams[each.provider.name], facts)
        if DEMO not in routes:
            routes[DEMO] = self._route(DEMO, DEMO, DemoSource(config.demo.delay), _DEMO_FACTS)
        default = config.default_model
        if default is None and config.source_path is None:
            default = next(iter(routes))
        table = Routes(routes.values(), default, self._pass_through)
        if config.default_model is not None:
            _check_default(table)
        return table

    def _configured(self, model: Model) -> Route:
        """The route of a model that the configuration names."""
        if model.gguf is not None:
            source, facts = self._engine(model, model.gguf)
            name = _engine_deployment(model.name)
            deployments = [Deployment(name, source, self._health_of(name), same_as=model.same_as)]
        else:
            facts = {"owned_by": "tidegate"}
            deployments = [self._deployment(model, each) for each in model.use]
        return Route(
            model.name,
            tuple(deployments),
            model.timeouts,
            model.retry,
            model.on_disconnect,
            facts,
            model.thinking_to_content,
            model.on_break,
        )

    def _deployment(self, model: Model, use: config_module.Deployment) -> Deployment:
        name = f"{use.provider}/{use.model}"
        source = UpstreamSource(self._upstreams[use.provider], use.model, model.timeouts.connect)
        health, most = self._health_of(name), use.limits.max_streams
        return Deployment(name, source, health, use.weight, most, use.model, use.same_as)

    def _listed(self, name: str, server: Upstream, told: Mapping[str, Any]) -> Route:
        """The route of a model that a provider listed."""
        source = UpstreamSource(server, name, self._config.timeouts.connect)
        return self._route(name, f"{server.name}/{name}", source, told_facts(told, server.name))

    def _pass_through(self, name: str) -> Route | None:
        """``provider/model`` reaches any model of a provider, listed or not."""
        provider, _, model = name.partition("/")
        server = self._upstreams.get(provider)
        if server is None or not model:
            return None
        # Callers choose these names, so nothing may be kept for each of them.
        source = UpstreamSource(server, model, self._config.timeouts.connect)
        return self._route(name, f"{provider}/*", source, {"owned_by": provider})

    def _route(self, model: str, deployment: str, source: Source, facts: Mapping[str, Any]) -> Route:
        health = self._health_of(deployment)
        timeouts = self._config.timeouts
        return Route(model, (Deployment(deployment, source, health),), timeouts, Retry(), facts=facts)

    def _engine(self, model: Model, path: Path) -> tuple[Source, dict[str, Any]]:
        facts = read_gguf(path)
        settings = EngineSettings(model.name, path, context=model.context, threads=model.threads)
        if model.slots is not None:
            settings = replace(settings, slots=model.slots)
        if model.embedding or model.rerank:
            settings = replace(settings, purpose="embedding" if model.embedding else "rerank")
        engine = self.engines[settings] = self._running.get(settings) or self._make_engine(settings)
        if model.preload:
            self.preloaded.append(engine)
        source = EngineSource(
            engine, self._pool, self._clock, model.timeouts.connect, self._config.server.max_frame
        )
        told = {
            "owned_by": "local",
            "type": "chat" if settings.purpose == "generation" else settings.purpose,
            "context_length": model.context or facts.context_length,
        }
        return source, told

    def _health_of(self, deployment: str) -> Health:
        """The health of a deployment, kept over reloads."""
        if deployment not in self._health:
            self._health[deployment] = Health(self._clock)
        return self._health[deployment]


def _engine_deployment(model: str) -> str:
    return f"engine/{model}"


def _check_default(table: Routes) -> None:
    """A default that does not exist would only be noticed by the first request that names no model."""
    try:
        table.resolve(None)
    except NotFound as error:
        raise ConfigError(f"default_model: {error.message}") from None
