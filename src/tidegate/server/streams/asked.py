"""What a request for a stream asks: which one, from where on, in which form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import parse_qs, unquote

from tidegate.dialects.cursor import Cursor, read_cursor
from tidegate.errors import InvalidRequest
from tidegate.server import urls
from tidegate.server.exchange import Exchange
from tidegate.server.respond import wants_event_ids

Form = Literal["stream", "whole", "state"]

SHOWN_IN: Final = tuple(sorted({*urls.SERVED, "events"}))
"""The dialects in which a stream can be read."""

_MOST_DIGITS: Final = 15
_RESPONSES: Final = "openai-responses"


@dataclass(frozen=True, slots=True)
class Asked:
    """A stream, and how it is to be read. ``dialect`` None is the one that it was asked in.

    Of ``after`` and ``skip`` at most one is given; ``named`` is what it was given as. ``response``: what was
    asked for is a response, which is a stream of one dialect.
    """

    stream: str
    form: Form = "stream"
    dialect: str | None = None
    after: Cursor | None = None
    skip: int | None = None
    named: str = ""
    event_ids: bool = False
    response: bool = False


def read_asked(exchange: Exchange) -> Asked:
    """What a request asks. Raises InvalidRequest, naming the parameter."""
    path, _, query = exchange.path.partition("?")
    given = {name: values[-1] for name, values in parse_qs(query, keep_blank_values=True).items()}
    name = unquote(urls.canonical(path).rpartition("/")[2])
    if urls.canonical(path).startswith("/responses/"):
        return _response(name, given, exchange)
    dialect = given.get("dialect")
    if dialect is not None and dialect not in SHOWN_IN:
        raise InvalidRequest(
            f"'dialect' must be one of {', '.join(SHOWN_IN)}, not {dialect!r}", param="dialect"
        )
    form = _form(given, exchange)
    after, skip, named = _place(given, exchange)
    if form == "whole" and named:
        raise InvalidRequest(f"a whole answer has no place to begin at; leave {named} out", param=named)
    return Asked(name, form, dialect, after, skip, named, _event_ids(given, exchange))


def last_event_id(exchange: Exchange) -> Cursor | None:
    """The cursor that a client had when it lost the stream. Raises InvalidRequest."""
    header = exchange.header(b"last-event-id")
    return _cursor(header.decode("latin-1"), "the header Last-Event-ID") if header else None


def _response(name: str, given: dict[str, str], exchange: Exchange) -> Asked:
    """A response, whose frames are counted from 0 by ``sequence_number``."""
    skip, named = None, ""
    if "starting_after" in given:
        named = "starting_after"
        skip = _count(given[named], named) + 1
    stream = name.removeprefix("resp_")
    ids = wants_event_ids(exchange)
    return Asked(stream, "stream", _RESPONSES, None, skip, named, ids, response=True)


def _form(given: dict[str, str], exchange: Exchange) -> Form:
    streamed = given.get("stream")
    if streamed is None:
        accept = exchange.header(b"accept")
        return "state" if accept is not None and prefers_json(accept.decode("latin-1")) else "stream"
    if streamed not in ("true", "false"):
        raise InvalidRequest(f"'stream' must be true or false, not {streamed!r}", param="stream")
    return "stream" if streamed == "true" else "whole"


def _place(given: dict[str, str], exchange: Exchange) -> tuple[Cursor | None, int | None, str]:
    """Where to begin. What a client had when it lost the stream is newer than what its address says."""
    cursor = last_event_id(exchange)
    if cursor is not None:
        return cursor, None, "Last-Event-ID"
    if "after" in given and "skip" in given:
        raise InvalidRequest("give 'after' or 'skip', not both", param="skip")
    if "after" in given:
        return _cursor(given["after"], "'after'"), None, "after"
    if "skip" in given:
        return None, _count(given["skip"], "skip"), "skip"
    return None, None, ""


def read_repeated(exchange: Exchange, stream: str) -> Asked | None:
    """Where a repeated request is to be read on from; None where it says nothing of that."""
    after = last_event_id(exchange)
    if after is None:
        return None
    return Asked(stream, after=after, named="Last-Event-ID", event_ids=wants_event_ids(exchange))


def _cursor(text: str, what: str) -> Cursor:
    cursor = read_cursor(text)
    if cursor is None:
        raise InvalidRequest(
            f"{what} must be the number of an event, such as 17, or the id of a frame, such as 17-2, "
            f"not {text!r:.100}",
            param=what.rpartition(" ")[2].strip("'"),
        )
    return cursor


def _count(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise InvalidRequest(f"'{name}' must be a number of 0 or more, not {text!r:.100}", param=name)
    return int(text) if len(text) <= _MOST_DIGITS else 10**_MOST_DIGITS


def _event_ids(given: dict[str, str], exchange: Exchange) -> bool:
    """Asked for in the address as well: an EventSource cannot send the header."""
    asked = given.get("event_ids")
    if asked is None:
        return wants_event_ids(exchange)
    if asked not in ("0", "1"):
        raise InvalidRequest(f"'event_ids' must be 1 or 0, not {asked!r:.100}", param="event_ids")
    return asked == "1"


def prefers_json(accept: str) -> bool:
    """Whether an Accept header names JSON, and no event stream that it likes as much and names before it."""
    found: dict[str, tuple[float, int]] = {}
    for at, each in enumerate(accept.split(",")):
        kind, *parameters = (part.strip().lower() for part in each.split(";"))
        found.setdefault(kind, (_quality(parameters), -at))
    json, events = found.get("application/json"), found.get("text/event-stream")
    return json is not None and json[0] > 0 and (events is None or json > events)


def _quality(parameters: list[str]) -> float:
    for each in parameters:
        name, _, value = each.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
