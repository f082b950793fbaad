"""Owns turning the frames of a gateway into events, in the two dialects that this client reads."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from tidegate.core.event import AnyEvent, End, Failure, Finish, Item
from tidegate.dialects import load_dialect
from tidegate.errors import Broken, SourceError

LONGEST_FRAME: Final = 64 * 1024 * 1024

_DONE: Final = b"data: [DONE]\n\n"
_FINISH: Final = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
"""Told to a decoder that comes in behind the reason, which to it an answer without one would be broken."""

_ALIVE: Final = b'data: {"event":"keep_alive"}\n\n'


class ChatFrames:
    """Reads OpenAI Chat. ``resumed``: reading begins somewhere in the middle.

    Blocks are numbered from where reading begins.
    """

    def __init__(self, *, resumed: bool) -> None:
        self._decoder = load_dialect("openai-chat").decoder(LONGEST_FRAME)
        self._finished = not resumed

    def feed(self, data: bytes, events: list[AnyEvent]) -> None:
        """Append the events of a frame. Raises SourceError for one that tells an error."""
        if data == _DONE and not self._finished:
            self._decoder.feed(_FINISH, [])
        told: list[AnyEvent] = []
        self._decoder.feed(data, told)
        events += map(_own_item, told)
        self._finished = self._finished or any(type(event) is Finish for event in told)


class EventFrames:
    """Reads the gateway's own events."""

    def __init__(self) -> None:
        self._decoder: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)

    def feed(self, data: bytes, events: list[AnyEvent]) -> None:
        """Append the event of a frame. Raises SourceError for an end that is no success."""
        if data == _ALIVE:
            return
        try:
            event = self._decoder.decode(data[6:-2])
        except msgspec.ValidationError:  # of a kind that is newer than this client
            return
        except msgspec.DecodeError as error:
            raise Broken(f"the gateway sent an event that cannot be read: {error}") from None
        if isinstance(event, End) and event.outcome != "completed":
            told = event.error or Failure("the answer broke off")
            raise SourceError(
                told.message, status=told.status, type=told.type, code=told.code, param=told.param
            )
        events.append(event)


def _own_item(event: AnyEvent) -> AnyEvent:
    """An item of the gateway's own, which Chat tells as a member of a delta that is unknown there."""
    if type(event) is not Item or event.kind != "delta":
        return event
    told: Any = event.value.get("tidegate")
    if not isinstance(told, dict) or not isinstance(told.get("kind"), str) or "value" not in told:
        return event
    return Item(kind=told["kind"], value=told["value"], choice=event.choice)
