"""The start-up screen: what was found, where it is served, and a line to try."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.segment import Segment, Segments
from rich.table import Table
from rich.text import Text

from tidegate import __version__
from tidegate.cli.program import program
from tidegate.cli.terminal.lines import console_for_lines, rendered
from tidegate.config import Config, is_loopback
from tidegate.engines import local_engine_problem
from tidegate.routing.table import Route
from tidegate.sources.discovery import Found

_MOST_NAMES: Final = 6
_Row = tuple[str, str, str]
"""The colour of a mark, a name, and what there is to say about it."""


@dataclass(frozen=True, slots=True)
class Start:
    """What there is to say about a gateway that has started. ``models`` and ``agents`` are their names."""

    config: Config
    found: Sequence[Found]
    models: Sequence[str]
    agents: Sequence[str]
    default: str | None
    workers: int = 1


def names(routes: Iterable[Route]) -> tuple[list[str], list[str]]:
    """The names that are served: those of models, and those of agents."""
    models: list[str] = []
    agents: list[str] = []
    for route in routes:
        (agents if route.facts.get("type") == "agent" else models).append(route.model)
    return models, agents


def show_start(start: Start, url: str) -> None:
    """Print the screen to stderr, plain where stderr is no terminal."""
    console = console_for_lines(stderr=True)
    rows = [*_providers(start), *_engines(start)]
    console.print()
    console.print(Text.assemble((f"Tidegate {__version__}", "bold"), " is serving on ", (url, "bold cyan")))
    console.print()
    _print(console, _sources([*rows, ("green", "demo", "built in, for trying: it needs nothing")]))
    if not rows:
        console.print()
        _print(console, _hint())
    console.print()
    _print(console, _facts(start, url))
    # Never wrapped by us: a line break of ours would be copied.
    console.print(Text(f"\n{_curl(start, url)}\n"), soft_wrap=True)


def _print(console: Console, shown: RenderableType) -> None:
    for line in rendered(console, shown):
        console.print(Segments([*line, Segment.line()]), end="", soft_wrap=True)


def _providers(start: Start) -> Iterator[_Row]:
    for found in start.found:
        name = found.provider.title or found.provider.name
        if found.problem is not None:
            yield "yellow", name, f"{found.problem}; requests to it fail until this is mended"
        else:
            yield "green", name, _offer(found)


def _offer(found: Found) -> str:
    provider = found.provider
    if not found.models:
        return f"lists no models at {provider.base_url}; ask for {provider.name}/MODEL"
    models = "1 model" if len(found.models) == 1 else f"{len(found.models):,} models"
    return f"{models} at {provider.base_url}"


def _engines(start: Start) -> Iterator[_Row]:
    config = start.config
    files = {model.name: model.gguf for model in config.models.values() if model.gguf is not None}
    for path in config.server.gguf:
        files.setdefault(path.stem, path)
    problem = local_engine_problem() if files else None
    for name, path in files.items():
        if problem is None:
            yield "green", name, f"{_shown(path)}, by the local engine"
        else:
            yield "yellow", name, f"{_shown(path)}; {problem}"


def _shown(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _sources(rows: list[_Row]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(max_width=36, overflow="fold")
    table.add_column(overflow="fold")
    for colour, name, text in rows:
        table.add_row(Text.assemble(("  ● ", colour), name), Text(text, style="dim"))
    return table


def _hint() -> Padding:
    text = Text(
        "For real answers set OPENAI_API_KEY or another vendor's key, start Ollama, or add --gguf FILE."
    )
    return Padding(text, (0, 0, 0, 2))


def _facts(start: Start, url: str) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    several = {"Models": _models(start)} if len(start.models) > 1 else {}
    workers = {"Workers": f"{start.workers} processes"} if start.workers > 1 else {}
    agents = {"Agents": _shortened(start.agents)} if start.agents else {}
    rows = {
        **several,
        **agents,
        **workers,
        "Keys": _keys(start),
        "Chat": f"{program()} chat",
        "Docs": f"{url}/docs",
        "Stop": "Ctrl-C",
    }
    for name, text in rows.items():
        table.add_row(Text(f"  {name}", style="bold"), Text(text))
    return table


def _models(start: Start) -> str:
    listed = [name for name in start.models if name != start.default]
    if start.default is not None:
        listed.insert(0, f"{start.default} (default)")
    shown = _shortened(listed)
    return shown if start.default is not None else f"{shown}; requests must name one"


def _shortened(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more:,} more: {program()} models" if more > 0 else "")


def _keys(start: Start) -> str:
    config = start.config
    reach = "" if is_loopback(config.server.host) else ", and other machines can reach this address"
    return ("required" if config.auth.keys == "required" else "none needed from this machine") + reach


def _curl(start: Start, url: str) -> str:
    """A command that works when it is pasted into a shell, whatever the model is called."""
    model = start.default or start.models[0]
    message = '"messages": [{"role": "user", "content": "Hello"}]'
    body = f'{{"model": {json.dumps(model)}, "stream": true,\n       {message}}}'
    lines = [f"curl -N {url}/v1/chat/completions"]
    if start.config.auth.keys == "required":
        lines.append(f'-H "Authorization: Bearer ${_key_variable(start)}"')
    return " \\\n  ".join([*lines, f"-d {shlex.quote(body)}"])


def _key_variable(start: Start) -> str:
    """The variable that holds one key: the gateway's own when it holds no more than that."""
    keys = [key.reveal() for key in start.config.auth.list]
    return "TIDEGATE_API_KEYS" if keys == [os.environ.get("TIDEGATE_API_KEYS")] else "TIDEGATE_API_KEY"
