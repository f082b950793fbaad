"""What an agent was asked, whatever dialect that came in."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import msgspec

from tidegate.core.message import Message, text_of
from tidegate.core.request import Prompt, Request
from tidegate.dialects import load_dialect, understand

_NO_OPTIONS: Mapping[str, Any] = {}


class AgentRequest:
    """The conversation, and the options of this run.

    ``text`` is what the user said last. :meth:`option` looks into the body of the request, beside the fields
    of its dialect, and then into the options that the configuration gives the agent.
    """

    def __init__(self, request: Request, options: Mapping[str, Any] = _NO_OPTIONS) -> None:
        self.model = request.model
        self._fields = request.fields
        self._options = options
        self.prompt: Prompt = understand(request)

    @cached_property
    def text(self) -> str:
        """What the user said last; empty where it was no text."""
        for message in reversed(self.prompt.messages):
            if message.role == "user" and (text := text_of(message.parts, "\n")):
                return text
        return ""

    @cached_property
    def messages(self) -> list[dict[str, Any]]:
        """The whole conversation as OpenAI Chat writes messages, ready to be handed on to a model."""
        return chat_messages(self.prompt.messages)

    def option(self, name: str, default: Any = None) -> Any:
        """The value of an option, as JSON has it; ``default`` where nobody gave it one."""
        given = self._fields.get(name)
        if given is not None:
            return msgspec.json.decode(given)
        return self._options.get(name, default)

    def setting(self, name: str, default: Any = None) -> Any:
        """An option as the settings have it, whatever the request says: what is not a caller's to choose."""
        return self._options.get(name, default)


def chat_messages(messages: tuple[Message, ...]) -> list[dict[str, Any]]:
    """Messages in OpenAI Chat's form."""
    body = load_dialect("openai-chat").write_prompt(Prompt(messages=messages), "", frozenset())
    found: list[dict[str, Any]] = msgspec.json.decode(body)["messages"]
    return found
