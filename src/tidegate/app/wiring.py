"""Makes the routes of a configuration: what answers for each model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from tidegate import config as config_module
from tidegate.agents.adapters.command import command_agent
from tidegate.agents.adapters.frameworks import framework_agent
from tidegate.agents.adapters.metagpt import PREFIX, metagpt_agent
from tidegate.agents.agent import Agent
from tidegate.agents.loading import load_agents
from tidegate.app.clock import SystemClock
from tidegate.app.workspaces import WorkspaceParts
from tidegate.config import Config, Model, Provider, Retry, Timeouts
from tidegate.config.document import suggestion
from tidegate.core.clock import Clock
from tidegate.core.source import Source
from tidegate.engines import Engine, EngineSettings, LocalEngine, read_gguf
from tidegate.errors import ConfigError, NotFound
from tidegate.net import Pool
from tidegate.routing.health import Health
from tidegate.routing.table import WORKSPACE, Deployment, Route, Routes
from tidegate.sources.agent import AgentSource, Surroundings
from tidegate.sources.demo import DemoSource
from tidegate.sources.discovery import Found, all_providers, discover
from tidegate.sources.engine import EngineSource
from tidegate.sources.server import Upstream, upstream
from tidegate.sources.told import common_facts, told_facts
from tidegate.sources.upstream import UpstreamSource

DEMO: Final = "demo"
_DEMO_FACTS: Final = {"owned_by": "tidegate", "type": "chat"}
EMBED: Final = "embed"
AGENTS: Final = "agents"
"""The folder of agents, beside the configuration or where the gateway is started."""


def agents_folder(config: Config) -> Path:
    """Where an operator puts agents without naming them."""
    beside = Path(config.source_path).parent if config.source_path else Path()
    return beside / AGENTS


async def check_routes(config: Config, environ: Mapping[str, str]) -> None:
    """Raise the ConfigError that a start would raise for its routes: a default model that nobody has, say."""
    clock = SystemClock(asyncio.get_running_loop())
    pool = Pool(clock.monotonic)
    try:
        providers = all_providers(config, environ)
        found = [] if config.models else await discover(providers.values(), pool)
        agents = load_agents(config.agents, agents_folder(config))
        Wiring(config, providers, {}, Engine, {}, pool, clock, agents, None).routes(found)
    finally:
        pool.close()


class Wiring:
    """Makes the routes of one configuration. Takes over engines and health of the one before."""

    def __init__(
        self,
        config: Config,
        providers: Mapping[str, Provider],
        engines: Mapping[EngineSettings, LocalEngine],
        make_engine: Callable[[EngineSettings], LocalEngine],
        health: dict[str, Health],
        pool: Pool,
        clock: Clock,
        agents: Mapping[str, Agent],
        surroundings: Surroundings | None,
        workspaces: WorkspaceParts | None = None,
    ) -> None:
        """``surroundings`` of agents may be missing where nothing is to be run, and so may ``workspaces``."""
        self.engines: dict[EngineSettings, LocalEngine] = {}
        self.preloaded: list[LocalEngine] = []
        self._make_engine = make_engine
        self._config = config
        self._running = engines
        self._health = health
        self._pool = pool
        self._clock = clock
        self._agents = agents
        self._surroundings = surroundings
        self._workspaces = workspaces
        self._told: Mapping[tuple[str, str], Mapping[str, Any]] = {}
        """What providers tell of their models."""
        self._upstreams = {
            name: upstream(each, config.server.max_frame, pool, clock) for name, each in providers.items()
        }

    def routes(self, found: Sequence[Found]) -> Routes:
        """The routes: what is configured, else what was found, and the demo model last."""
        config = self._config
        self._told = {
            (each.provider.name, name): facts for each in found for name, facts in each.models.items()
        }
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
        for agent in self._agents.values():
            if agent.name not in routes:
                routes[agent.name] = self._agent(Model(name=agent.name), agent)
        default = config.default_model
        if default is None and config.source_path is None:
            default = next(iter(routes))
        table = Routes(routes.values(), default, self._pass_through)
        if config.default_model is not None:
            _check_default(table)
        return table

    def _configured(self, model: Model) -> Route:
        """The route of a model that the configuration names."""
        if model.agent is not None:
            agent = self._agents.get(model.agent)
            if agent is None and model.agent.startswith(PREFIX):
                agent = metagpt_agent(model.name, model.agent.removeprefix(PREFIX), model.options)
            elif agent is None and ":" in model.agent:
                agent = framework_agent(model.name, model.agent)
            if agent is None:
                known = suggestion(model.agent, self._agents, "known are")
                raise ConfigError(f"models.{model.name}.agent: there is no agent {model.agent!r}{known}.")
            return self._agent(model, agent)
        if model.exec:
            return self._agent(model, command_agent(model.name, model.exec, model.options))
        if model.gguf is not None:
            source, facts = self._engine(model, model.gguf)
            name = engine_deployment(model.name)
            deployments = [Deployment(name, source, self._health_of(name), same_as=model.same_as)]
        else:
            facts = self._told_of(model)
            deployments = [self._deployment(model, each) for each in model.use]
        return Route(
            model.name,
            tuple(deployments),
            model.timeouts,
            model.retry,
            model.on_disconnect or "cancel",
            facts,
            model.thinking_to_content,
            model.on_break,
        )

    def _told_of(self, model: Model) -> dict[str, Any]:
        """What is known of a model with deployments: what was configured, and what their providers told."""
        told = [self._told.get((each.provider, each.model), {}) for each in model.use]
        known = common_facts([told_facts(facts, "") for facts in told])
        if model.context is not None:
            known["context_length"] = model.context
        return {**known, "owned_by": "tidegate"}

    def _agent(self, model: Model, agent: Agent) -> Route:
        """The route of an agent: it is asked once, and has all its time for each token."""
        source = AgentSource(agent, self._surroundings, model.options)
        name, total = f"agent/{model.name}", agent.timeout
        return Route(
            model.name,
            (Deployment(name, source, self._health_of(name)),),
            Timeouts(first_token=total, idle=total, total=total),
            Retry(attempts=1),
            model.on_disconnect or agent.on_disconnect,
            {"owned_by": "tidegate", "type": "agent", "description": agent.description},
            model.thinking_to_content,
            "fail",
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
        """``provider/model`` reaches any model of a provider, ``workspace/slug`` a caller's workspace."""
        provider, _, model = name.partition("/")
        if provider in (WORKSPACE, EMBED) and model:
            return self._workspace(name, provider, model)
        server = self._upstreams.get(provider)
        if server is None or not model:
            return None
        # Callers choose these names, so nothing may be kept for each of them.
        source = UpstreamSource(server, model, self._config.timeouts.connect)
        return self._route(name, f"{provider}/*", source, {"owned_by": provider})

    def _workspace(self, name: str, kind: str, path: str) -> Route | None:
        """The route of a workspace, a thread in it, or an embed: whose it is, is known when it is asked."""
        workspaces, surroundings = self._workspaces, self._surroundings
        if workspaces is None or surroundings is None:
            return None
        slug, _, thread = path.partition("/")
        if kind == EMBED:
            source = workspaces.visited(surroundings, path)
        else:
            source = workspaces.source(surroundings, slug, thread or None)
        total = self._config.timeouts.total
        # Callers choose these names too.
        return Route(
            name,
            (Deployment(WORKSPACE, source, self._health_of(WORKSPACE)),),
            Timeouts(first_token=total, idle=total, total=total),
            Retry(attempts=1),
            facts={"owned_by": "tidegate", "type": WORKSPACE},
            on_break="fail",
        )

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
            "context_length": model.context or facts.loaded_context,
        }
        return source, told

    def _health_of(self, deployment: str) -> Health:
        """The health of a deployment, kept over reloads."""
        if deployment not in self._health:
            self._health[deployment] = Health(self._clock)
        return self._health[deployment]


def engine_deployment(model: str) -> str:
    return f"engine/{model}"


def _check_default(table: Routes) -> None:
    """A default that does not exist would only be noticed by the first request that names no model."""
    try:
        table.resolve(None)
    except NotFound as error:
        raise ConfigError(f"default_model: {error.message}") from None
