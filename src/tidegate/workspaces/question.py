"""What a workspace is asked, whatever dialect that came in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from msgspec import Struct

Mode = Literal["automatic", "chat", "query"]
MODES: Final = ("automatic", "chat", "query")

AGENT: Final = "@agent"
"""What a message begins with that is for an agent with tools."""

ChatMessage = Mapping[str, Any]
"""A message as OpenAI Chat writes it."""


class Attached(Struct, frozen=True):
    """A file that came with the question: its bytes, and what it calls itself."""

    name: str
    data: bytes


class Question(Struct, frozen=True, kw_only=True):
    """One question.

    ``text`` is what was asked, ``message`` the whole message with its images. ``history`` is what was said
    before, where the caller brings it; None is what the workspace remembers of this thread, session and
    user. ``system`` takes the place of the workspace's prompt. ``fields`` go into the request to the model.
    """

    text: str
    message: ChatMessage
    mode: Mode | None = None
    history: tuple[ChatMessage, ...] | None = None
    system: str | None = None
    session: str | None = None
    user: int | None = None
    embed: int | None = None
    reset: bool = False
    attached: tuple[Attached, ...] = ()
    shown_attachments: tuple[Mapping[str, Any], ...] = ()
    """As they came, to be shown with the history."""
    model: str | None = None
    """The one to ask, where the caller may choose."""
    messages: int | None = None
    """How many earlier questions the model sees; None is the workspace's setting."""
    sources: bool = True
    """Whether the answer tells what it is from."""
    fields: Mapping[str, Any] = {}

    @property
    def for_agent(self) -> bool:
        """Whether it asks for an agent."""
        return self.embed is None and self.text.lstrip().startswith(AGENT)
