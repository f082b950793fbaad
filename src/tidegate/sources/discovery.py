"""Asks servers which models they have, at start and at a reload."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import msgspec

from tidegate.config import Provider
from tidegate.dialects import load_dialect
from tidegate.errors import SourceError, TidegateError
from tidegate.net import Pool
from tidegate.net.address import split_url
from tidegate.net.fetch import fetch

_SECONDS = 3.0
_MOST_MODELS = 2000


@dataclass(frozen=True, slots=True)
class Found:
    """What a provider answered: its models with what it tells about each, or why it told nothing."""

    provider: Provider
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    problem: str | None = None


async def discover(providers: Iterable[Provider], pool: Pool) -> list[Found]:
    """Ask all providers at once; none takes longer than three seconds."""
    return list(await asyncio.gather(*(_ask(provider, pool) for provider in providers)))


async def _ask(provider: Provider, pool: Pool) -> Found:
    if "no_model_list" in provider.quirks:
        return Found(provider)
    try:
        address, path = split_url(provider.base_url)
        query = provider.signed_query()
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
    """Models by name from OpenAI's list shape, or from a bare list (Together's)."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    if isinstance(value, dict):
        value = value.get("data")
    if not isinstance(value, list):
        return {}
    entries = (entry for entry in value[:_MOST_MODELS] if isinstance(entry, dict))
    return {
        # Gemini lists "models/gemini-…" and takes both forms.
        entry["id"].removeprefix("models/"): entry
        for entry in entries
        if isinstance(entry.get("id"), str) and entry["id"]
    }
