"""The start-up screen: what was found, where it is served, and a line to try."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.markup import escape

from tidegate import __version__
from tidegate.app import Application
from tidegate.sources.discovery import Found


def show_start(application: Application, url: str) -> None:
    """Print the screen to stderr, plain where stderr is no terminal."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    routes = application.gateway.routes
    config = application.config
    console.print(f"\n[bold]Tidegate {__version__}[/bold] is serving on [bold cyan]{url}[/bold cyan]\n")
    for found in application.found:
        console.print(_provider(found))
    for model in config.models.values():
        if model.gguf is not None:
            console.print(
                f"  [green]●[/green] {escape(model.name)}: {escape(str(model.gguf))}, by the local engine"
            )
    for path in config.server.gguf:
        console.print(f"  [green]●[/green] {escape(path.stem)}: {escape(str(path))}, by the local engine")
    if not application.found and not config.server.gguf and not config.models:
        console.print(
            "  No provider yet: set OPENAI_API_KEY or another vendor's key, start Ollama, or add --gguf FILE."
        )
    console.print(f"  [green]●[/green] demo: always there, says what it is")
    names: list[str] = [route.model for route in routes]
    shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
    console.print(f"\n  models   {escape(shown)}")
    console.print(f"  default  {escape(routes.default or 'none: requests must name a model')}")
    keys = "required" if config.auth.keys == "required" else "none needed from this machine"
    console.print(f"  keys     {keys}")
    key = ' -H "Authorization: Bearer $KEY"' if config.auth.keys == "required" else ""
    to_try: str = routes.default or names[0]
    console.print(
        f"\nTry it:\n\n  curl -N {url}/v1/chat/completions{key} \\\n"
        f'    -d \'{{"model": "{escape(to_try)}", "stream": true, '
        f'"messages": \\[{{"role": "user", "content": "Hello"}}]}}\'\n'
    )
    console.print(f"or: tidegate chat    Docs: {url}/docs    Stop: Ctrl-C\n")
    sys.stderr.flush()


def _provider(found: Found) -> str:
    name = escape(found.provider.title or found.provider.name)
    if found.problem is not None:
        return f"  [yellow]●[/yellow] {name}: {escape(found.problem)}; requests to it will fail until this is mended"
    return f"  [green]●[/green] {name}: {len(found.models)} models at {escape(found.provider.base_url)}"
