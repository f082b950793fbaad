"""Finds agents: ours, those of installed packages, of modules that the settings name, and of a folder."""

from __future__ import annotations

import logging
import pkgutil
import sys
import traceback
from collections.abc import Iterator, Sequence
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Final

from tidegate.agents import builtin
from tidegate.agents.agent import Agent
from tidegate.errors import ConfigError

logger = logging.getLogger("tidegate")

GROUP: Final = "tidegate.agents"
"""The entry points by which an installed package names its modules of agents."""


def load_agents(modules: Sequence[str], folder: Path | None) -> dict[str, Agent]:
    """All agents by name; those that the operator names win over ours.

    ``folder`` holds files of agents, if there is one. Raises ConfigError for a module that cannot be loaded,
    and for a name that two of the operator's share.
    """
    _find_beside(folder)
    found = {agent.name: agent for module in _builtin() for agent in _agents_of(module)}
    installed: dict[str, Agent] = {}
    for point in sorted(entry_points(group=GROUP), key=lambda each: each.value):
        try:
            module = point.load()
        except (
            Exception,
            SystemExit,
        ) as error:  # it does not keep the gateway from starting
            logger.error("the agents of %s cannot be loaded: %s", point.value, _told(error))
            continue
        installed |= {agent.name: agent for agent in _agents_of(module)}
    own: dict[str, tuple[str, Agent]] = {}
    for place, module in (*_named(modules), *_in(folder)):
        for agent in _agents_of(module):
            if agent.name in own:
                raise ConfigError(f"{own[agent.name][0]} and {place} both declare the agent {agent.name!r}.")
            own[agent.name] = place, agent
    return found | installed | {name: agent for name, (_, agent) in own.items()}


def _find_beside(folder: Path | None) -> None:
    """Let modules be found that lie beside the folder, where the settings are or the gateway was started."""
    here = str(folder.parent.absolute()) if folder is not None else None
    if here is not None and here not in sys.path:
        sys.path.append(here)


def _builtin() -> Iterator[ModuleType]:
    for each in pkgutil.iter_modules(builtin.__path__):
        yield import_module(f"{builtin.__name__}.{each.name}")


def _named(modules: Sequence[str]) -> Iterator[tuple[str, ModuleType]]:
    for name in modules:
        try:
            yield name, import_module(name)
        except (Exception, SystemExit) as error:
            raise ConfigError(f"agents: {name} cannot be loaded: {_told(error)}.") from error


def _in(folder: Path | None) -> Iterator[tuple[str, ModuleType]]:
    """The files of a folder, each a module of its own; those that begin with an underscore are left out."""
    if folder is None or not folder.is_dir():
        return
    for path in sorted(folder.glob("*.py")):
        if not path.name.startswith("_"):
            yield str(path), _loaded(path)


def _loaded(path: Path) -> ModuleType:
    name = f"tidegate_agents_{path.stem}"
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path} is no Python file that can be loaded.")
    module = module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and the like look their own module up
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise ConfigError(f"{path} cannot be loaded: {_told(error)}.") from error
    return module


def _agents_of(module: ModuleType) -> list[Agent]:
    return [value for value in vars(module).values() if isinstance(value, Agent)]


def _told(error: BaseException) -> str:
    """What went wrong, and the last line of the operator's code in which it did."""
    frames = traceback.extract_tb(error.__traceback__)
    last = next((each for each in reversed(frames) if "importlib" not in each.filename), None)
    place = f" ({last.filename}:{last.lineno})" if last is not None and last.filename != __file__ else ""
    return f"{type(error).__name__}: {error}{place}"
