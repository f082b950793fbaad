"""Looks at what can answer: providers, servers on this machine, GGUF files."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from tidegate.app import Application
from tidegate.cli.checks.finding import Finding, counted
from tidegate.config import Config, Provider, load_presets, local_providers
from tidegate.engines import GgufFile, InvalidGguf, local_engine_problem, read_gguf
from tidegate.errors import ConfigError
from tidegate.net import Pool
from tidegate.sources.discovery import Found, discover

_MOST_FILES: Final = 20


def check_sources(config: Config, environ: Mapping[str, str]) -> list[Finding]:
    """Ask every provider and every usual port, and build the routes as ``tidegate serve`` would."""
    try:
        named, local, problem = asyncio.run(_ask(config, environ))
    except ConfigError as error:
        return [Finding("problem", line) for line in error.message.splitlines()]
    findings = [_provider(found, environ) for found in named]
    findings += _local_servers(local, used=config.source_path is None)
    if config.source_path is None:
        findings += _missing_keys(environ)
    if problem is not None:
        findings.append(Finding("problem", problem))
    return findings


async def _ask(config: Config, environ: Mapping[str, str]) -> tuple[list[Found], list[Found], str | None]:
    """What the named providers answered, what else on this machine did, and why no routes can be made."""
    known = {provider.base_url for provider in config.providers.values()}
    local = [provider for provider in local_providers(environ) if provider.base_url not in known]
    pool = Pool(time.monotonic)
    try:
        named, here, problem = await asyncio.gather(
            discover(config.providers.values(), pool), discover(local, pool), _wiring_problem(config, environ)
        )
    finally:
        pool.close()
    return named, here, problem


async def _wiring_problem(config: Config, environ: Mapping[str, str]) -> str | None:
    application = Application(config, environ, asyncio.get_running_loop())
    try:
        await application.start(takes_over=False)
    except ConfigError as error:
        return error.message
    finally:
        await application.close()
    return None


def _provider(found: Found, environ: Mapping[str, str]) -> Finding:
    provider = found.provider
    name = provider.title or provider.name
    if found.problem is None:
        count = counted(len(found.models), "model") if found.models else "lists no models"
        return Finding("ok", f"{name}: {count}, {_credential(provider, environ)}")
    if "credential" in found.problem:
        variables = load_presets()[provider.preset].env if provider.preset is not None else ()
        remedy = f"export {variables[0]}=YOUR-KEY" if variables else None
        return Finding("warning", f"{name}: {found.problem}", remedy)
    return Finding("warning", f"{name}: {found.problem}", f"curl -v {provider.base_url}/models")


def _credential(provider: Provider, environ: Mapping[str, str]) -> str:
    if provider.credential is None:
        return "no key needed"
    variables = load_presets()[provider.preset].env if provider.preset is not None else ()
    source = next(
        (name for name in variables if environ.get(name, "").strip() == provider.credential.reveal()), None
    )
    return f"with {source}" if source is not None else "with a key from the settings"


def _local_servers(found: list[Found], *, used: bool) -> Iterator[Finding]:
    silent = []
    for each in found:
        name = each.provider.title or each.provider.name
        if each.problem is not None:
            silent.append(name)
        elif used:
            yield Finding("ok", f"{name}: {counted(len(each.models), 'model')} at {each.provider.base_url}")
        else:
            yield Finding(
                "note",
                f"{name} answers at {each.provider.base_url}, but the settings do not name it",
                f"providers: {{{each.provider.name}: {{}}}}",
            )
    if silent:
        yield Finding("note", f"not running on this machine, or on another port: {', '.join(silent)}")


def _missing_keys(environ: Mapping[str, str]) -> Iterator[Finding]:
    hosted = [preset for preset in load_presets().values() if not preset.local]
    missing = [
        preset.env[0] for preset in hosted if not any(environ.get(name, "").strip() for name in preset.env)
    ]
    if len(missing) == len(hosted):
        yield Finding(
            "note", f"no vendor's key is set: {', '.join(missing)}", f"export {missing[0]}=YOUR-KEY"
        )
    elif missing:
        yield Finding("note", f"no key for other vendors: {', '.join(missing)}")


def check_files(config: Config) -> Iterator[Finding]:
    """The GGUF files that are named in the settings or lie where people put them."""
    named = {path.absolute() for path in config.server.gguf}
    named |= {model.gguf.absolute() for model in config.models.values() if model.gguf is not None}
    lying = [path for path in _files_around() if path.absolute() not in named]
    for path in sorted(named):
        yield _file(path, offer=False)
    for path in lying[:_MOST_FILES]:
        yield _file(path, offer=True)
    if len(lying) > _MOST_FILES:
        yield Finding("note", f"and {len(lying) - _MOST_FILES} more")
    if not named and not lying:
        yield Finding("note", "no .gguf files here, in ./models or in ~/models", "tidegate serve --gguf FILE")


def _files_around() -> Iterator[Path]:
    seen: set[Path] = set()
    for folder in (Path(), Path("models"), Path.home() / "models"):
        for path in sorted(folder.glob("*.gguf")):
            if path.resolve() not in seen:
                seen.add(path.resolve())
                yield path


def _file(path: Path, *, offer: bool) -> Finding:
    try:
        facts = read_gguf(path)
    except InvalidGguf as error:
        return Finding("note" if offer else "problem", error.message)
    text = f"{path}: {_described(facts)}"
    if local_engine_problem() is not None:
        return Finding("note" if offer else "warning", f"{text}; cannot be served without the local engine")
    return Finding("ok", text, f"tidegate serve --gguf {path}" if offer else None)


def _described(facts: GgufFile) -> str:
    parameters = facts.parameters
    size = f"{parameters / 1e9:.1f}B" if parameters >= 1e9 else f"{parameters / 1e6:.0f}M"
    parts = [facts.architecture, f"{size} parameters", facts.quantization or ""]
    if facts.context_length:
        parts.append(f"context {facts.context_length:,}")
    return ", ".join(filter(None, parts))
