"""Asks the person at the terminal what an agent wants to know, and sends it to the gateway."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote

from tidegate.cli.connection import Server, get_json
from tidegate.cli.follow import Ask
from tidegate.errors import SourceError

_YES: Final = frozenset({"y", "yes", "approve", "true"})
_NO: Final = frozenset({"n", "no", "deny", "false"})


def hint(question: Mapping[str, Any]) -> str:
    """How a question is to be answered; empty where any text will do."""
    if question.get("kind") == "approval":
        return "yes or no"
    schema = question.get("schema")
    if not isinstance(schema, dict):
        return ""
    if choices := schema.get("enum"):
        return " or ".join(map(str, choices))
    members = schema.get("properties")
    return f"JSON with {', '.join(members)}" if isinstance(members, dict) else "JSON"


def reply_to(question: Mapping[str, Any], typed: str) -> dict[str, Any] | None:
    """The answer that was typed; None where it is none to this question."""
    told = {"id": question.get("id")}
    if question.get("kind") == "approval":
        word = typed.strip().lower()
        return {**told, "approve": word in _YES} if word in _YES | _NO else None
    if not isinstance(question.get("schema"), dict):
        return {**told, "text": typed}
    try:
        return {**told, "input": json.loads(typed)}
    except ValueError:
        return {**told, "text": typed}


def send_reply(server: Server, stream_id: str, reply: Mapping[str, Any]) -> None:
    """Answer a question. Raises SourceError where it is refused."""
    get_json(
        server,
        f"/v1/streams/{quote(stream_id, safe='')}/input",
        method="POST",
        body=json.dumps(reply).encode(),
    )


class Person:
    """The person at this terminal. ``tell`` shows them a sentence that is no part of the answer."""

    def __init__(self, server: Server, tell: Callable[[str], None]) -> None:
        self._server = server
        self._tell = tell

    def ask(self, stream_id: str, question: Mapping[str, Any]) -> bool:
        """Have a question answered; False where they leave instead. See :data:`tidegate.cli.follow.Ask`."""
        how = hint(question)
        while True:
            try:
                typed = input(f"{how or 'answer'}> ")
            except (EOFError, KeyboardInterrupt):
                return False
            reply = reply_to(question, typed)
            if reply is None:
                self._tell(f"Type {how}.")
                continue
            try:
                send_reply(self._server, stream_id, reply)
            except SourceError as error:
                self._tell(error.message)
                if error.status == 400:
                    continue
            return True


def person_at(server: Server, tell: Callable[[str], None]) -> Ask | None:
    """Who can be asked here: nobody where the input is no terminal."""
    return Person(server, tell).ask if sys.stdin.isatty() else None
