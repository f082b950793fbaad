"""The command line: one file per command, imported when it is asked for."""

from __future__ import annotations

from importlib import import_module

import click

from tidegate import __version__

_COMMANDS = ("serve", "chat", "models", "doctor")


class _Commands(click.Group):
    """Finds commands by file name, so that ``tidegate chat`` does not import the server."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = import_module(f"{__name__}.{cmd_name}").command
        return command


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tidegate")
def main() -> None:
    """A streaming gateway for language models that never loses a token.

    Start it with `tidegate serve`, then talk to it with `tidegate chat`.
    """
