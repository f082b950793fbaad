"""The running gateway: all its parts, from its start to its end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from starlette.types import ASGIApp

from tidegate.access import KeyRing, StoredKeys, resolve
from tidegate.access.ledger import Ledger
from tidegate.agents.loading import load_agents
from tidegate.agents.mcp import McpServers
from tidegate.agents.questions import Questions
from tidegate.app.clock import SystemClock, random_id
from tidegate.app.wiring import Wiring, agents_folder, engine_deployment
from tidegate.app.workspaces import WorkspaceParts
from tidegate.config import Config
from tidegate.config.home import home
from tidegate.dialects import load_dialect
from tidegate.engines import Engine, EngineSettings, LocalEngine
from tidegate.errors import Overloaded, SourceError, StoreError, TidegateError
from tidegate.generation import Gateway
from tidegate.inner import InnerGenerations
from tidegate.net import Pool
from tidegate.observe.access_log import AccessLog
from tidegate.observe.metrics import Metrics
from tidegate.routing.attempt import Attempts
from tidegate.routing.calls import Calls
from tidegate.routing.health import Health
from tidegate.server.application import application
from tidegate.server.generate import Service
from tidegate.server.handover import Adopt, Peer
from tidegate.server.neighbours import Neighbours
from tidegate.server.together import answers_to_peers
from tidegate.server.urls import SERVED
from tidegate.server.watch import NO_ROUTES, Watch
from tidegate.sources.agent import Surroundings
from tidegate.sources.discovery import Found, all_providers, discover, heard, worth_telling
from tidegate.store.database import Database
from tidegate.store.files import FileStore
from tidegate.store.responses import StoredResponses
from tidegate.store.steps import StoredSteps
from tidegate.streams.places import Places
from tidegate.streams.recovery import Recovery
from tidegate.streams.registry import Streams

logger = logging.getLogger("tidegate")

T = TypeVar("T")

_KEYS_SECONDS = 1.0
"""How often the store is asked whether keys have changed."""

_RETIRING_SECONDS = 1.0
"""How often an engine that is no longer wanted is looked at, until its last stream has ended."""

_LOOKING_SECONDS = 2.0
"""How often is looked for what other processes have left."""

_EXPIRY_SECONDS = 5.0
"""How often streams are looked for that are due to go."""


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
        self._steps = StoredSteps(self.database, self._clock.now_ms)
        survives = self.gateway.streams.log.survives
        self._mcp = McpServers()
        steps = self._steps if survives else None
        questions = Questions()
        files = FileStore(home(environ) / "files", random_id)
        inner = InnerGenerations(self.gateway)
        self._workspaces = WorkspaceParts(self.database, self.gateway, inner, self._clock, environ)
        self._surroundings = Surroundings(
            inner, steps, questions, files, self._clock, self._mcp, self._workspaces.tools
        )
        self.gateway.streams.archiving = self.ledger.flush
        self.gateway.streams.inherited = self._watch.inherited
        dialects = {name: load_dialect(name) for name in SERVED}
        responses = StoredResponses(self.database, self._clock.now_ms)
        self.service = Service(
            self.gateway,
            dialects,
            access_log,
            random_id,
            responses,
            files,
            questions,
            self._workspaces.service,
        )
        self._recovery: Recovery | None = None
        if (slot := self._places.slot) is not None:
            folder = self._places.folder
            self._recovery = Recovery(folder, slot, self.gateway.streams, _aside)
            self.service.neighbours = Neighbours(folder, slot, self._take_over)
        self.gateway.streams.elsewhere = self._find_elsewhere
        self.asgi: ASGIApp = application(self.service, self.metrics)

    async def start(
        self, told: Sequence[Mapping[str, Any]] | None = None, *, takes_over: bool = True
    ) -> None:
        """Open the store, find out what there is and open the routes. Raises ConfigError and StoreError.

        ``takes_over``: it goes on with what others leave, for it is there to stay.
        """
        await self.database.open()
        ingestion = await self._workspaces.open(ingests=self._preloads)
        if ingestion is not None:
            self._own(ingestion)
        await self.apply(self.config, told)
        if takes_over:
            with contextlib.suppress(Overloaded):  # another process does
                await self._take_over()
            self._own(self._look_around())
        self._own(self._follow_keys())
        self._own(self._expire())

    async def serving(self, adopt: Adopt) -> None:
        """Connections are accepted: others may be answered too, and hand over theirs to ``adopt``."""
        if self.service.neighbours is not None:
            self.service.neighbours.listen(answers_to_peers(self.service, self.metrics), adopt)

    async def _find_elsewhere(self, stream: str) -> Peer | None:
        """The process that has a stream which is not here; it may be here afterwards."""
        service = self.service
        peer = None if service.peers is None else await service.peers.find(stream)
        if peer is None and service.neighbours is not None:
            peer = await service.neighbours.find(stream)
        return peer

    async def _take_over(self) -> None:
        """Go on with what those have left whose process has ended. Raises StoreError and Overloaded.

        Whoever asks may be cancelled meanwhile, and the streams must not be left without anybody.
        """
        if self._recovery is not None and not self.gateway.closing:
            await asyncio.shield(self._own(self._take_over_from(self._recovery)))

    async def _take_over_from(self, recovery: Recovery) -> None:
        for each in await recovery.take_over():
            if not self.gateway.closing:  # else it is left to the next process
                await self.service.take_over(each)
                await asyncio.sleep(0)  # a request may be large, and others are under way

    async def _look_around(self) -> None:
        """Take over from others that share the data folder and die, as long as the gateway runs."""
        told = ""
        while True:
            await asyncio.sleep(_LOOKING_SECONDS)
            try:
                await self._take_over()
                told = ""
            except Overloaded:  # another process does
                continue
            except (TidegateError, OSError) as error:
                if str(error) != told:  # and not again each time
                    logger.error("what another process has left waits: %s", error)
                told = str(error)

    async def _expire(self) -> None:
        """Let go of streams that are due, as long as the gateway runs."""
        while True:
            await asyncio.sleep(_EXPIRY_SECONDS)
            try:
                await self.gateway.streams.archive.expire()
                await self._steps.expire()
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
        wiring = Wiring(
            config,
            providers,
            self._engines,
            self._make_engine,
            self._health,
            self._pool,
            self._clock,
            load_agents(config.agents, agents_folder(config)),
            self._surroundings,
            self._workspaces,
        )
        routes = wiring.routes(found)
        retired = [engine for settings, engine in self._engines.items() if settings not in wiring.engines]
        self._engines = wiring.engines
        for engine in retired:
            self._retire(engine)
        for engine in wiring.preloaded if self._preloads else ():
            self._own(self._preload(engine))
        await self._mcp.apply(config.mcp)
        self._workspaces.apply(config)
        self.found = worth_telling(found, config)
        self._apply_access(config)
        self.gateway.routes = self._watch.routes = routes

    async def close(self) -> None:
        """Stop engines and connections; close the store, in which what has ended is noted, last."""
        if self.service.neighbours is not None:
            self.service.neighbours.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for stream in self.gateway.streams:  # where nothing was served that could be wound down
            stream.leave()
        await self._mcp.close()
        await self._workspaces.close()
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

    def _own(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _preload(self, engine: LocalEngine) -> None:
        """Load a model before somebody asks for it; a failure is told, and tried again at first use."""
        try:
            await engine.ready()
        except SourceError as error:
            logger.error("%s was not loaded: %s", engine.settings.name, error.message)

    async def _stop_when_idle(self, engine: LocalEngine) -> None:
        health = self._health[engine_deployment(engine.settings.name)]
        try:
            while health.open:  # noqa: ASYNC110 - a retired engine is in no hurry
                await asyncio.sleep(_RETIRING_SECONDS)
        finally:
            await engine.stop()


async def _aside(work: Callable[[], T]) -> T:
    return await asyncio.to_thread(work)
