"""Owns turning a file, the environment and the command line into one Config, or into one ConfigError."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tidegate.config.document import Document, Problems, Section, suggestion
from tidegate.config.mcp import read_mcp
from tidegate.config.models import Providers, read_models
from tidegate.config.presets import Preset, load_presets
from tidegate.config.providers import environment_providers, local_vendors, read_providers
from tidegate.config.sections import (
    read_auth,
    read_demo,
    read_server,
    read_store,
    read_streams,
    read_timeouts,
)
from tidegate.config.settings import Config, Model, Server, Timeouts
from tidegate.config.values import one_of, parse_model_name, parse_module
from tidegate.config.workspaces import read_workspaces
from tidegate.errors import ConfigError

DEFAULT_FILE: Final = "tidegate.yaml"


def load_config(
    path: Path | None,
    environ: Mapping[str, str],
    command_line: Mapping[str, str | Sequence[str]] | None = None,
    *,
    text: str | None = None,
) -> Config:
    """Return the settings of the file ``path``; None is ``./tidegate.yaml`` where that exists.

    ``text`` is what :func:`read_file` said is in it, for a process that is to see what another one saw.
    ``command_line`` maps names of server settings (``host``, ``port``, ``gguf`` …) to texts that replace the
    file's. Raises ConfigError: one line for each mistake, with its place and what to change, and without any
    credential.
    """
    if text is None:
        path, text = read_file(path)
    problems = Problems()
    document = Document(str(path) if path else DEFAULT_FILE, environ, problems)
    root = document.parse(text)
    config = _read_root(root, environ, command_line or {}, path, problems)
    problems.raise_if_any()
    return config


def load_store(path: Path | None, environ: Mapping[str, str]) -> str:
    """Return the database URL of the settings, whatever else is in them. Raises ConfigError.

    For commands that work on the store itself: they need none of the credentials that the rest refers to.
    """
    path, text = read_file(path)
    problems = Problems()
    document = Document(str(path) if path else DEFAULT_FILE, environ, problems)
    url = read_store(document.parse(text))
    problems.raise_if_any()
    return url


def read_file(path: Path | None) -> tuple[Path | None, str]:
    """Return which file holds the settings, if any, and what is in it. Raises ConfigError."""
    if path is None and Path(DEFAULT_FILE).is_file():
        path = Path(DEFAULT_FILE)
    if path is None:
        return None, ""
    try:
        return path, path.read_text("utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file; name another with --config.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: must be UTF-8 text.") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}.") from None


def _read_root(
    root: Section,
    environ: Mapping[str, str],
    command_line: Mapping[str, str | Sequence[str]],
    path: Path | None,
    problems: Problems,
) -> Config:
    folder = (path.parent if path else Path()).absolute()
    presets = load_presets()
    server_section = root.section("server")
    for name, texts in command_line.items():
        server_section.overlay(name, [texts] if isinstance(texts, str) else list(texts))
    server = read_server(server_section, folder)
    auth = read_auth(root.section("auth"), environ, server, server_section, problems)
    timeouts = read_timeouts(root.section("timeouts"), Timeouts())
    providers = _read_providers(root, presets, environ, server, problems)
    models = read_models(root.section("models"), providers, timeouts, folder)
    config = Config(
        server=server,
        auth=auth,
        providers=providers.named,
        models=models,
        agents=tuple(root.listed("agents", parse_module) or ()),
        mcp=read_mcp(root.section("mcp"), folder),
        workspaces=read_workspaces(root.section("workspaces")),
        strict=tuple(root.listed("strict", one_of("anythingllm")) or ()),
        default_model=_read_default_model(root, models, providers, server),
        timeouts=timeouts,
        demo=read_demo(root.section("demo")),
        streams=read_streams(root.section("streams"), server.workers),
        store=read_store(root),
        source_path=str(path) if path else None,
        implicit_providers=providers.found,
    )
    root.close(elsewhere={name: f"server.{name}" for name in Server.__struct_fields__})
    return config


def _read_providers(
    root: Section,
    presets: Mapping[str, Preset],
    environ: Mapping[str, str],
    server: Server,
    problems: Problems,
) -> Providers:
    if root.get("providers") is not None:
        return Providers(
            read_providers(root.section("providers"), presets, environ), {}, presets, found=False
        )
    return Providers(
        environment_providers(presets, environ, server, problems),
        local_vendors(presets, environ, problems),
        presets,
        found=True,
    )


def _read_default_model(
    root: Section, models: Mapping[str, Model], providers: Providers, server: Server
) -> str | None:
    """Return the model for requests that name none.

    Where the file names its providers, it must be known here; else it may be one that is found at start.
    """
    value = root.get("default_model")
    name = value.parsed(parse_model_name) if value else None
    if value is None or name is None:
        return None
    known = {*models, "demo", *(path.stem for path in server.gguf)}
    if not (providers.found or name in known or providers.find(name.partition("/")[0])):
        value.complain(
            f"names the model {value.shown}, which is unknown{suggestion(name, known, 'known are')}"
        )
    return name
