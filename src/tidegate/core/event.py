"""The canonical events: everything that a source can say, whatever wire format it came in.

Blocks are implied: a block opens at its first event and is closed by the next block of its choice
or by the choice's :class:`Finish`. Block numbers count from 0 within a choice.

``extra`` keeps what an upstream said beyond the fields here and is rendered in the wire format that it
came in only: OpenAI Chat's by level (``chunk``, ``choice``, ``delta``, ``tool``, ``function``), that of
every other dialect under the dialect's name.
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
    """The stream has begun; ours, never an upstream's. ``model`` is the name the upstream answers under.

    ``usage`` is what some upstreams count before they answer.
    """

    model: str | None = None
    usage: Usage | None = None


class Text(Event, frozen=True, gc=False, tag="text"):
    """More of the visible answer. ``refusal``: it is the words in which the model declines.

    ``logprobs`` are in OpenAI Chat's form.
    """

    text: str
    choice: int = 0
    block: int = 0
    logprobs: Any = None
    refusal: bool = False


class Thinking(Event, frozen=True, gc=False, tag="thinking"):
    """More of the model's reasoning; a signature or redacted data may stand alone.

    A signature speaks for the block of thinking, or stands in a block of its own before the text or the
    call that it speaks for. ``origin`` is the dialect whose upstream signed, and alone can check it.
    """

    text: str
    choice: int = 0
    block: int = 0
    signature: str | None = None
    redacted: str | None = None
    origin: str | None = None


class Tool(Event, frozen=True, gc=False, tag="tool"):
    """More of a tool call's argument text; ``call_id`` and ``name`` on the call's first event only.

    The text of a ``custom`` tool's call is no JSON.
    """

    arguments: str
    choice: int = 0
    block: int = 0
    call_id: str | None = None
    name: str | None = None
    custom: bool = False


class Item(Event, frozen=True, gc=False, tag="item"):
    """Anything else: a citation, a file, a status, or a piece of a block of a kind that we do not know.

    What only one dialect knows has that dialect's name for its kind, and ``block`` when it is a piece of a
    block: the first piece opens it, as everywhere.
    """

    kind: str
    value: Any
    choice: int = 0
    block: int | None = None


class Finish(Event, frozen=True, gc=False, tag="finish"):
    """One choice is complete. ``reason`` is in OpenAI Chat's words; ``stop`` the stop sequence met.

    A reason that OpenAI Chat has no word for is in its dialect's own: each rendering finds the nearest.
    """

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


SEAMS = "tidegate"
"""The level of ``extra`` at which the Finish and the End of a stream that was gone on with tell its seams.

Every dialect shows it, under this name, in a place where its clients look past it.
"""


def seams_told(event: Event) -> Mapping[str, Any]:
    """The members that tell a client of the seams; none where there are no seams."""
    extra = event.extra
    return {SEAMS: extra[SEAMS]} if extra is not None and SEAMS in extra else {}


STATUS = "status"
"""The member of :data:`SEAMS` among a chunk's fields that says of thinking that it is a line of progress."""


def status_extra(facts: Mapping[str, Any]) -> Extra:
    """What stands beside a line of thinking that tells how far a program has come: its text and more."""
    return {"chunk": {SEAMS: {STATUS: facts}}}


def status_told(event: Event) -> Mapping[str, Any] | None:
    """The facts of such a line; None for whatever is none."""
    extra = event.extra
    told = extra.get("chunk", {}).get(SEAMS) if extra is not None and type(event) is Thinking else None
    facts = told.get(STATUS) if isinstance(told, Mapping) else None
    return facts if isinstance(facts, Mapping) else None


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
