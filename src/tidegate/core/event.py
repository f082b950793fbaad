"""The canonical events: everything that a source can say, whatever wire format it came in.

Blocks are implied: a block opens at its first event and is closed by the next block of its choice
or by the choice's :class:`Finish`. Block numbers count from 0 within a choice.

``extra`` keeps what an upstream said beyond the fields here, by level of the wire format that it came
in (for OpenAI Chat: ``chunk``, ``choice``, ``delta``, ``tool``, ``function``), and is rendered in that
format only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from msgspec import Struct

from tidegate.core.usage import Usage
from tidegate.errors import TidegateError

Extra = Mapping[str, Any]
Outcome = Literal["completed", "failed", "cancelled", "interrupted"]


class Event(Struct, frozen=True, gc=False, tag_field="event", omit_defaults=True, kw_only=True):
    """One item of canonical output. JSON-shaped, so that a log can keep it."""

    extra: Extra | None = None


class Start(Event, frozen=True, gc=False, tag="start"):
    """The stream has begun; ours, never an upstream's. ``model`` is the name the upstream answers under."""

    model: str | None = None


class Text(Event, frozen=True, gc=False, tag="text"):
    """More of the visible answer."""

    text: str
    choice: int = 0
    block: int = 0
    logprobs: Any = None


class Thinking(Event, frozen=True, gc=False, tag="thinking"):
    """More of the model's reasoning; a signature or redacted data may stand alone."""

    text: str
    choice: int = 0
    block: int = 0
    signature: str | None = None
    redacted: str | None = None


class Tool(Event, frozen=True, gc=False, tag="tool"):
    """More of a tool call's argument text; ``call_id`` and ``name`` on the call's first event only."""

    arguments: str
    choice: int = 0
    block: int = 0
    call_id: str | None = None
    name: str | None = None


class Item(Event, frozen=True, gc=False, tag="item"):
    """Anything else: a citation, a file, a status, or a block of a kind that we do not know."""

    kind: str
    value: Any
    choice: int = 0


class Finish(Event, frozen=True, gc=False, tag="finish"):
    """One choice is complete. ``reason`` is in OpenAI Chat's words; ``stop`` the stop sequence met."""

    reason: str
    choice: int = 0
    stop: str | None = None


class Failure(Struct, frozen=True, gc=False, omit_defaults=True):
    """What went wrong, in a form that every dialect can tell. ``retry_after`` in seconds."""

    message: str
    type: str = "internal_error"
    code: str | None = None
    param: str | None = None
    status: int = 500
    retry_after: float | None = None


class End(Event, frozen=True, gc=False, tag="end"):
    """The last event of a stream."""

    outcome: Outcome
    usage: Usage | None = None
    error: Failure | None = None


Delta = Text | Thinking | Tool | Item
AnyEvent = Start | Text | Thinking | Tool | Item | Finish | End


class Record(NamedTuple):
    """An event at its place in a stream log: ``seq`` is dense from 1, ``at_ms`` Unix time in ms."""

    epoch: int
    seq: int
    at_ms: int
    event: AnyEvent


def failure(error: TidegateError) -> Failure:
    """The value form of an exception, to be kept in a log."""
    return Failure(
        message=error.message,
        type=error.type,
        code=error.code,
        param=error.param,
        status=error.status,
        retry_after=error.retry_after,
    )
