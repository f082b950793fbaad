"""A conversation at the terminal: reads messages, obeys those that begin with a slash, and shows answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

from rich.console import Console
from rich.text import Text

from tidegate.cli.answer import Answer
from tidegate.cli.answering import Person
from tidegate.cli.connection import Server, get_json
from tidegate.cli.conversation import Conversation
from tidegate.cli.follow import Ended, follow
from tidegate.cli.models import Listing, fetch_listing, table
from tidegate.cli.sources import PREFIX, sources_of
from tidegate.cli.terminal.display import Display
from tidegate.cli.terminal.lines import printable
from tidegate.cli.terminal.prompt import Prompt
from tidegate.client.patience import Patience
from tidegate.errors import SourceError

_COMMAND: Final = re.compile(r"/([a-z]+)(?:\s+(.*))?", re.DOTALL)


class _Command(NamedTuple):
    usage: str
    meaning: str
    obey: Callable[[Session, str], None]


class Session:
    """One conversation. Its errors are told in place; only leaving it ends :meth:`run`."""

    def __init__(
        self,
        server: Server,
        conversation: Conversation,
        console: Console,
        make_display: Callable[[], Display],
        folder: Path,
        patience: Patience,
    ) -> None:
        self._patience = patience
        self._server = server
        self._conversation = conversation
        self._console = console
        self._make_display = make_display
        self._listing = Listing((), None)
        self._prompt = Prompt(folder, self._completions)
        self._saved: set[Path] = set()
        self._leaving = False
        """The next Ctrl-C leaves."""

    def run(self) -> None:
        """Talk until the user leaves. Raises SourceError when there is nobody to talk to or no such model."""
        self._listing = fetch_listing(self._server)
        if self._conversation.model is not None:
            self._check(self._conversation.model)
        self._greet()
        while True:
            try:
                message = self._prompt.read()
                self._leaving = False
                self._take(message)
            except EOFError:
                self._console.print()
                break
            except KeyboardInterrupt:
                self._console.print()
                if self._prompt.half_typed:
                    self._leaving = False
                    continue
                if self._leaving:
                    break
                self._leaving = True
                self._tell("Ctrl-C again, or Ctrl-D, leaves.")
            except _Quit:
                break
        self._tell("Goodbye.")

    def _greet(self) -> None:
        head = Text("Tidegate", style="bold")
        self._console.print(
            head.append(f" at {self._server.url}, talking to {self._model}", style="not bold")
        )
        self._tell("/help lists the commands. Ctrl-C stops an answer, Ctrl-D leaves.")
        self._console.print()

    @property
    def _model(self) -> str:
        default = self._listing.default or "its default model"
        return printable(self._conversation.model or default)

    def _take(self, message: str) -> None:
        command = _COMMAND.fullmatch(message.strip())
        if command is not None:
            self._obey(command[1], (command[2] or "").strip())
        elif message.strip():
            self._ask(message)

    def _ask(self, question: str) -> None:
        self._console.print()
        fields = self._conversation.ask(question)
        answer = Answer.asked(self._server, fields, self._patience)
        ended = follow(answer, self._make_display(), Person(self._server, self._complain).ask)
        measured = ended.measured
        self._conversation.answered("".join(measured.text), measured.model)
        self._tell_end(ended)
        if ended.error is None and not ended.cancelled and (fields.get("model") or "").startswith(PREFIX):
            for number, line in enumerate(sources_of(self._server, answer.stream_id), start=1):
                self._tell(f"{number:3}. {line}")
        self._console.print()

    def _tell_end(self, ended: Ended) -> None:
        if ended.error is not None:
            self._complain(f"\n{ended.error.message}  (/retry asks again)")
        elif ended.cancelled:
            self._leaving = True
            self._tell("\ncancelled · /retry asks again, Ctrl-C leaves")
        else:
            self._tell(f"\n{ended.measured.summary()}")

    # Commands

    def _obey(self, name: str, argument: str) -> None:
        command = _COMMANDS.get(name)
        if command is None:
            near = get_close_matches(name, _COMMANDS, n=1)
            hint = f"did you mean /{near[0]}?" if near else "/help lists them."
            self._complain(f"There is no command /{name}; {hint}")
            return
        command.obey(self, argument)

    def _help(self, _: str) -> None:
        width = max(len(command.usage) for command in _COMMANDS.values())
        for command in _COMMANDS.values():
            line = Text(f"  {command.usage.ljust(width)}  ")
            self._console.print(line.append(command.meaning, style="dim"))
        self._tell(
            '\n  A line that ends in \\ goes on in the next; """ begins and ends a message of several lines.'
        )

    def _change_model(self, name: str) -> None:
        if name:
            try:
                self._check(name)
            except SourceError as error:
                self._complain(error.message)
                return
            self._conversation.model = name
        self._tell(f"Talking to {self._model}.")

    def _list_models(self, _: str) -> None:
        try:
            self._listing = fetch_listing(self._server)
        except SourceError as error:
            self._complain(error.message)
            return
        for line in table(self._listing):
            self._console.print(Text(f"  {line}"), soft_wrap=True)

    def _change_system(self, text: str) -> None:
        if text:
            self._conversation.system = None if text == "off" else text
        system = self._conversation.system
        self._tell(f"System message: {system}" if system else "There is no system message.")

    def _clear(self, _: str) -> None:
        self._conversation.clear()
        self._tell("The conversation begins anew.")

    def _save(self, name: str) -> None:
        if not name:
            self._complain("Name a file, such as /save chat.md or /save chat.json.")
            return
        path = Path(name).expanduser().absolute()
        if path.exists() and path not in self._saved:
            self._complain(f"{name} is there already; name another file.")
            return
        try:
            self._conversation.save(path)
        except OSError as error:
            self._complain(f"{name} cannot be written: {error.strerror}.")
            return
        self._saved.add(path)
        self._tell(f"Saved to {path}.")

    def _retry(self, _: str) -> None:
        question = self._conversation.take_back()
        if question is None:
            self._complain("There is nothing to ask again.")
            return
        self._tell(question)
        self._ask(question)

    def _quit(self, _: str) -> None:
        raise _Quit

    def _check(self, model: str) -> None:
        """Raise SourceError, with the nearest names, when the gateway does not know the model."""
        if model not in self._listing.names:
            get_json(self._server, f"/v1/models/{quote(model, safe='/')}")

    def _completions(self, begun: str) -> Iterator[str]:
        """What a line may become at a press of Tab."""
        names = (f"/model {name}" for name in self._listing.names)
        commands = (f"/{name}" for name in _COMMANDS)
        if begun.startswith("/"):
            choices = names if begun.startswith("/model ") else commands
            yield from (choice for choice in choices if choice.startswith(begun))

    # Words around the conversation

    def _tell(self, sentence: str) -> None:
        self._console.print(Text(printable(sentence), style="dim"))

    def _complain(self, sentence: str) -> None:
        self._console.print(Text(printable(sentence), style="red"))


class _Quit(Exception):
    """The user leaves."""


_COMMANDS: Final = {
    "help": _Command("/help", "this list", Session._help),
    "model": _Command("/model NAME", "go on with another model", Session._change_model),
    "models": _Command("/models", "the models that there are", Session._list_models),
    "system": _Command(
        "/system TEXT", "say how to answer from now on; off takes it back", Session._change_system
    ),
    "retry": _Command("/retry", "ask the last question again", Session._retry),
    "clear": _Command("/clear", "begin a new conversation", Session._clear),
    "save": _Command("/save FILE", "write the conversation to a file, .md or .json", Session._save),
    "quit": _Command("/quit", "leave", Session._quit),
}
