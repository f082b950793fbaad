"""The command line: one file per command, imported when it is asked for."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from types import MappingProxyType
from typing import Final

import click

from tidegate import __version__

_COMMANDS: Final = MappingProxyType(
    {
        "serve": "Start the gateway.",
        "chat": "Talk to a model in the terminal.",
        "resume": "Go on with an answer that was begun before.",
        "streams": "List the answers under way and of late, look at one, stop one.",
        "workspace": "Make collections of documents, fill them, and ask them.",
        "models": "List the models that the gateway serves.",
        "keys": "Make keys for callers, list them, and take them back.",
        "usage": "Show how many tokens were used, and by whom.",
        "doctor": "Say what was found, what is missing, and how to fix it.",
    }
)


class _Commands(click.Group):
    """Finds commands by file name, so that ``tidegate chat`` does not import the server."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = import_module(f"{__name__}.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in _COMMANDS and not args[0].startswith("-"):
            near = get_close_matches(args[0], _COMMANDS, n=1)
            hint = f"Did you mean '{near[0]}'?" if near else f"There are {', '.join(_COMMANDS)}."
            ctx.fail(f"There is no command '{args[0]}'. {hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tidegate")
def main() -> None:
    """A streaming gateway for language models that never loses a token.

    One address for every model that you can reach: hosted ones, servers on your machine, model files. Clients
    speak to it as they speak to OpenAI.

    \b
    To begin:
      tidegate serve           in one terminal; it needs no settings
      tidegate chat            in another
      tidegate doctor          when something is missing

    `tidegate COMMAND --help` says more about a command.
    """
