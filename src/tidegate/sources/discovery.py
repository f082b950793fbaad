"""Asks servers which models they have, at start and at a reload."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from tidegate.config import Config, Provider, local_providers
from tidegate.dialects import load_dialect
from tidegate.errors import SourceError, TidegateError
from tidegate.net import Pool
from tidegate.net.address import split_url
from tidegate.net.fetch import fetch

_SECONDS = 3.0
_MOST_MODELS = 2000
_PAGES: Final[Mapping[str, Mapping[str, str]]] = {"gemini": {"pageSize": "1000"}}
"""Where a list comes in pages: how to ask for one that holds all (https://ai.google.dev/api/models)."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a provider answered: its models with what it tells about each, or why it told nothing."""

    provider: Provider
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    problem: str | None = None


def all_providers(config: Config, environ: Mapping[str, str]) -> dict[str, Provider]:
    """The providers of a configuration, and this machine's own servers where it names none."""
    providers = dict(config.providers)
    if config.implicit_providers:
        providers.update((local.name, local) for local in local_providers(environ))
    return providers


def worth_telling(found: Sequence[Found], config: Config) -> list[Found]:
    """What was found, without local servers that nobody asked for and that are not there."""
    return [each for each in found if each.problem is None or each.provider.name in config.providers]


def told(found: Iterable[Found]) -> list[dict[str, Any]]:
    """What was found as JSON, for a process that has the same providers."""
    return [
        {"provider": each.provider.name, "models": each.models, "problem": each.problem} for each in found
    ]


def heard(told: Iterable[Mapping[str, Any]], providers: Mapping[str, Provider]) -> list[Found]:
    """What another process has told of ``providers``."""
    return [Found(providers[each["provider"]], each["models"], each["problem"]) for each in told]


async def discover(providers: Iterable[Provider], pool: Pool) -> list[Found]:
    """Ask all providers at once; none takes longer than three seconds."""
    return list(await asyncio.gather(*(_ask(provider, pool) for provider in providers)))


async def _ask(provider: Provider, pool: Pool) -> Found:
    if "no_model_list" in provider.quirks:
        return Found(provider)
    try:
        address, path = split_url(provider.base_url)
        query = {**_PAGES.get(provider.dialect, {}), **provider.signed_query()}
        target = f"{path}/models" + (f"?{urlencode(query)}" if query else "")
        headers = {**load_dialect(provider.dialect).headers, **provider.signed_headers()}
        status, body = await fetch(pool, address, target, headers, _SECONDS)
    except (SourceError, TidegateError) as error:
        return Found(provider, problem=error.message)
    if status in (401, 403):
        return Found(provider, problem=f"the credential was refused (status {status})")
    if status != 200:
        return Found(provider, problem=f"GET {path}/models was answered with status {status}")
    return Found(provider, _models(body))


def _models(body: bytes) -> dict[str, dict[str, Any]]:
    """Models by name from OpenAI's list shape, from a bare list (Together's), or from Gemini's."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    if isinstance(value, dict):
        value = value.get("data") or value.get(
            "models"
        )  # llama.cpp has both, the latter of a form of its own
    if not isinstance(value, list):
        return {}
    entries = (entry for entry in value[:_MOST_MODELS] if isinstance(entry, dict))
    return {
        # Gemini lists "models/gemini-…" and takes both forms.
        name.removeprefix("models/"): entry
        for entry in entries
        if (name := _name(entry))
    }


def _name(entry: dict[str, Any]) -> str:
    """What a model is called; empty where it has no name, or answers nothing that it could be asked here."""
    methods = entry.get("supportedGenerationMethods")
    if isinstance(methods, list) and "generateContent" not in methods:
        return ""
    name = entry.get("id") or (entry.get("name") if methods is not None else None)
    return name if isinstance(name, str) else ""
