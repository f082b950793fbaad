"""Owns reading the models: the names that callers ask for, and the deployments that each stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, cast

from tidegate.config.document import Section, Value, suggestion
from tidegate.config.presets import Preset
from tidegate.config.sections import read_gguf, read_timeouts
from tidegate.config.settings import Deployment, Limits, Model, Provider, Retry, Timeouts
from tidegate.config.values import (
    one_of,
    parse_argument,
    parse_duration,
    parse_integer,
    parse_model_name,
    parse_number,
    parse_switch,
    ranged,
)

_ENGINE_SETTINGS: Final = ("slots", "threads", "preload", "embedding", "rerank")
_EXAMPLE: Final = "such as use: [openai/gpt-4o-mini]"


class Providers:
    """The providers that a deployment may name.

    ``found`` tells that the file names none itself. Then the ``local`` ones are taken at their word:
    ``ollama/qwen3`` needs no entry.
    """

    def __init__(
        self,
        named: dict[str, Provider],
        local: Mapping[str, Provider],
        presets: Mapping[str, Preset],
        *,
        found: bool,
    ) -> None:
        self.named = named
        self.found = found
        self._local = local if found else {}
        self._presets = presets

    def find(self, name: str) -> bool:
        """Tell whether a deployment may name this provider; a local one joins the named ones by it."""
        if name not in self.named and name in self._local:
            self.named[name] = self._local[name]
        return name in self.named

    def hint(self, name: str) -> str:
        """Return the clause that says what to do about an unknown provider."""
        preset = self._presets.get(name)
        if preset is None:
            return suggestion(name, {**self._presets, **self.named}, "known are")
        inner = "" if preset.local else f'api_key: "${{{preset.env[0]}}}"'
        first = "" if preset.local or not self.found else f"set {preset.env[0]}, or "
        return f"; {first}add {name}: {{{inner}}} under providers"


def read_models(section: Section, providers: Providers, timeouts: Timeouts, folder: Path) -> dict[str, Model]:
    """Return the models of the file, in its order."""
    models = {}
    for name, value in section.entries():
        try:
            parse_model_name(name)
        except ValueError as error:
            value.complain(str(error))
        inner = value.section()
        if inner is not None:
            models[name] = _read_model(name, value, inner, providers, timeouts, folder)
    return models


def _read_model(
    name: str, value: Value, section: Section, providers: Providers, timeouts: Timeouts, folder: Path
) -> Model:
    same_as = section.optional("same_as", parse_model_name)
    use, gguf, agent, command = (section.get(name) for name in ("use", "gguf", "agent", "exec"))
    if sum(each is not None for each in (use, gguf, agent, command)) != 1:
        value.complain(f"needs one of use, gguf, agent and exec, {_EXAMPLE}")
        gguf = None
    if gguf is None and use is None:
        _refuse_settings(section, ("context",), "belongs to a model with gguf or use; remove it")
    if gguf is None:
        _refuse_settings(section, _ENGINE_SETTINGS, "belongs to a model with gguf; remove it")
    if agent is None and command is None:
        _refuse_settings(section, ("options",), "belongs to a model with agent or exec; remove it")
    options = section.get("options")
    if options is not None and options.section() is None:
        options = None
    model = Model(
        name=name,
        use=_read_deployments(use, providers, same_as) if use else (),
        gguf=read_gguf(gguf, folder) if gguf else None,
        agent=agent.parsed(parse_model_name) if agent else None,
        exec=tuple(section.listed("exec", parse_argument) or ()),
        options=options.data() if options else {},
        context=section.optional(
            "context", ranged(parse_integer, 256, 10_000_000, "a number of tokens, 256 or more")
        ),
        slots=section.optional("slots", ranged(parse_integer, 1, 256, "a number from 1 to 256")),
        threads=section.optional("threads", ranged(parse_integer, 1, 1024, "a number from 1 to 1024")),
        preload=section.parsed("preload", parse_switch, False),
        embedding=section.parsed("embedding", parse_switch, False),
        rerank=section.parsed("rerank", parse_switch, False),
        timeouts=read_timeouts(section.section("timeouts"), timeouts),
        retry=_read_retry(section.section("retry")),
        on_break=cast(
            Literal["continue", "fail"], section.parsed("on_break", one_of("continue", "fail"), "continue")
        ),
        on_disconnect=cast(
            Literal["cancel", "drain", "detach"] | None,
            section.optional("on_disconnect", one_of("cancel", "drain", "detach")),
        ),
        same_as=same_as,
        thinking_to_content=section.parsed("thinking_to_content", parse_switch, False),
    )
    if model.embedding and model.rerank:
        value.complain("cannot be for embedding and rerank at once; name the file under two models")
    section.close()
    return model


def _refuse_settings(section: Section, names: Sequence[str], reason: str) -> None:
    for name in names:
        value = section.get(name)
        if value is not None:
            value.complain(reason)


def _read_retry(section: Section) -> Retry:
    default = Retry()
    retry = Retry(
        attempts=section.parsed(
            "attempts", ranged(parse_integer, 1, 20, "a number from 1 to 20"), default.attempts
        ),
        backoff=section.parsed(
            "backoff", ranged(parse_duration, 0.0, 60.0, "a duration from 0s to 1m"), default.backoff
        ),
    )
    section.close()
    return retry


def _read_deployments(value: Value, providers: Providers, same_as: str | None) -> tuple[Deployment, ...]:
    members = value.items()
    if not members:
        value.complain(f"must name at least one deployment, {_EXAMPLE}")
    found = (_read_deployment(member, providers, same_as) for member in members)
    return tuple(deployment for deployment in found if deployment is not None)


def _read_deployment(value: Value, providers: Providers, same_as: str | None) -> Deployment | None:
    if value.is_scalar:
        target = _read_target(value, providers)
        return Deployment(provider=target[0], model=target[1], same_as=same_as) if target else None
    section = value.section()
    if section is None:
        return None
    named = section.get("deployment")
    if named is None:
        value.complain('needs deployment, such as {deployment: "openai/gpt-4o-mini", weight: 2}')
    target = _read_target(named, providers) if named else None
    weight = ranged(parse_number, 0.001, 1000.0, "a number from 0.001 to 1000")
    deployment = Deployment(
        provider=target[0] if target else "",
        model=target[1] if target else "",
        weight=section.parsed("weight", weight, 1.0),
        same_as=section.optional("same_as", parse_model_name) or same_as,
        limits=_read_limits(section.section("limits")),
    )
    section.close()
    return deployment


def _read_limits(section: Section) -> Limits:
    limits = Limits(
        max_streams=section.optional(
            "max_streams", ranged(parse_integer, 1, 1_000_000, "a number, 1 or more")
        )
    )
    section.close()
    return limits


def _read_target(value: Value, providers: Providers) -> tuple[str, str] | None:
    """Return provider and model of ``provider/model``; further slashes belong to the model's name."""
    text = value.parsed(parse_model_name)
    if text is None:
        return None
    provider, slash, model = text.partition("/")
    if not (provider and slash and model):
        value.complain(f"must be provider/model, such as openai/gpt-4o-mini, not {value.shown}")
        return None
    if not providers.find(provider):
        value.complain(f"names an unknown provider: {value.shown}{providers.hint(provider)}")
        return None
    return provider, model
