"""``tidegate doctor``: what was found, what is missing, and the command that fixes it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import click
from rich.text import Text

from tidegate import __version__
from tidegate.access import resolve
from tidegate.cli.checks import Finding, Level, counted
from tidegate.cli.checks.gateway import check_gateway
from tidegate.cli.checks.machine import check_machine
from tidegate.cli.checks.sources import check_files, check_sources
from tidegate.cli.program import as_typed
from tidegate.cli.stored import count_keys
from tidegate.cli.terminal.lines import console_for_lines, printable
from tidegate.config import DEFAULT_FILE, Config, load_config
from tidegate.errors import ConfigError, StoreError

_MARKS: Final[dict[Level, tuple[str, str, str]]] = {
    "ok": ("✓", "ok", "green"),
    "note": ("·", "--", "dim"),
    "warning": ("!", "!!", "yellow"),
    "problem": ("✗", "XX", "bold red"),
}
"""A mark, its form where only ASCII can be written, and a style."""


@click.command()
@click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Settings to look at; without it ./tidegate.yaml if there is one.",
)
def command(config_path: Path | None) -> None:
    """Look at everything that `tidegate serve` needs or could use.

    Looks at this machine, the settings, every provider that there is a key for, servers on this machine, GGUF
    files in this folder, ./models and ~/models, and the gateway itself. Changes nothing, and asks providers
    only for their lists of models, which costs nothing.

    \b
    What the marks mean:
      ✓  fine
      ·  not there, and not needed
      !  works, but not as well as it could
      ✗  keeps `tidegate serve` from working

    Below what can be better stands the command that makes it so. The exit code is 1 when there is a ✗.

    \b
    Examples:
      tidegate doctor
      tidegate doctor --config production.yaml
    """
    report = _Report()
    report.console.print(Text(f"Tidegate {__version__}", style="bold"))
    try:
        config = load_config(config_path, os.environ)
    except ConfigError as error:
        report.show("This machine", check_machine(Config(), os.environ))
        report.show("Settings", [Finding("problem", line) for line in error.message.splitlines()])
        report.show("Gateway", check_gateway(Config(), os.environ))
    else:
        _check_all(report, config)
    report.sum_up()
    if report.counts["problem"]:
        sys.exit(1)


def _check_all(report: _Report, config: Config) -> None:
    report.show("This machine", check_machine(config, os.environ))
    report.show("Settings", _settings(config))
    with report.console.status("asking the providers", spinner_style="cyan"):
        sources = check_sources(config, os.environ)
    report.show("Providers", sources)
    report.show("Model files", check_files(config))
    report.show("Gateway", check_gateway(config, os.environ))
    report.only_demo = not (
        config.models or config.server.gguf or any(finding.level == "ok" for finding in sources)
    )


def _settings(config: Config) -> list[Finding]:
    if config.source_path is None:
        file = Finding("ok", f"no {DEFAULT_FILE} here, and none is needed")
    else:
        provided = counted(len(config.providers), "provider")
        file = Finding("ok", f"{config.source_path}: {provided}, {counted(len(config.models), 'model')}")
    try:
        stored = count_keys(config)
        auth = resolve(config.auth, stored)
    except (ConfigError, StoreError) as error:
        return [file, Finding("problem", error.message)]
    keys = len(auth.list) + stored
    if auth.keys == "open":
        access = Finding("ok", "no key is asked for, and only this machine is served")
    elif keys:
        access = Finding("ok", f"callers need a key; {counted(keys, 'key')} known")
    else:
        access = Finding(
            "warning",
            "callers need a key, and there is none",
            "tidegate keys create",
        )
    return [file, access]


class _Report:
    """Prints findings section by section, and counts them."""

    def __init__(self) -> None:
        self.console = console_for_lines()
        self.counts: dict[Level, int] = dict.fromkeys(_MARKS, 0)
        self.only_demo = False
        self._ascii = not self.console.encoding.lower().startswith("utf")

    def show(self, title: str, findings: Iterable[Finding]) -> None:
        """Print one section."""
        self.console.print(Text(f"\n{title}", style="bold"))
        for finding in findings:
            self.counts[finding.level] += 1
            mark, plain, style = _MARKS[finding.level]
            mark = f"{plain if self._ascii else mark} "
            text = Text(printable(finding.text), style="dim" if finding.level == "note" else "")
            self.console.print(Text(f"  {mark}", style=style), end="")
            self._print_beside(text, len(mark) + 2)
            if finding.fix is not None:
                # Never wrapped, so that it can be copied.
                self.console.print(
                    Text(f"      {printable(as_typed(finding.fix))}", style="cyan"), soft_wrap=True
                )

    def _print_beside(self, text: Text, indent: int) -> None:
        """Print ``text`` after a mark, its further lines below its first."""
        lines = text.wrap(self.console, max(self.console.width - indent, 20))
        for number, line in enumerate(lines):
            line.rstrip()
            self.console.print(Text(" " * indent if number else "").append_text(line), soft_wrap=True)

    def sum_up(self) -> None:
        """Say in one line whether the gateway can be started."""
        problems = self.counts["problem"]
        if problems:
            words = f"{counted(problems, 'problem')} to solve before `tidegate serve` works."
        elif self.only_demo:
            words = "No problems. Only the demo model can answer so far."
        else:
            words = "No problems."
        self.console.print(Text(f"\n{words}", style="red" if problems else "green"))
