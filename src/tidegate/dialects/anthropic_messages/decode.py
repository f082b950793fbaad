"""Messages events from an upstream to canonical events.

Shapes: https://platform.claude.com/docs/en/build-with-claude/streaming. Most frames of an answer differ
from the one before in one string only, so the decoder learns the bytes around that string from a frame
that it has decoded in full; a frame with the same surroundings then needs just the string decoded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from tidegate.core.event import AnyEvent, End, Extra, Finish, Item, Start
from tidegate.core.steady import Steady
from tidegate.dialects.anthropic_messages.blocks import Blocks
from tidegate.dialects.anthropic_messages.errors import reported_error
from tidegate.dialects.anthropic_messages.stops import chat_reason
from tidegate.dialects.anthropic_messages.surroundings import BETWEEN, Surroundings, learned
from tidegate.dialects.anthropic_messages.usage import NAME, merge_usage, read_usage
from tidegate.dialects.api import Recogniser
from tidegate.dialects.translation.reading import (
    LEARNING_LIMIT,
    LONGEST_LEARNED,
    WRONG_SHAPE,
    FrameReader,
    unreadable,
)
from tidegate.errors import Broken
from tidegate.wire.payload import read_object

Fields = dict[str, Any]

_MESSAGE_KNOWN: Final = frozenset(
    {"id", "type", "role", "content", "model", "stop_reason", "stop_sequence", "usage"}
)


class MessagesDecoder(FrameReader):
    """Decodes one streamed or whole Messages answer."""

    __slots__ = (
        "_blocks",
        "_ended",
        "_finished",
        "_form",
        "_usage",
        "known",
    )

    def __init__(self, max_frame: int) -> None:
        super().__init__(max_frame)
        self._blocks = Blocks()
        self._usage: Fields = {}
        self._finished = False
        self._ended = False
        self._form: Surroundings | None = None
        """That of the frames of the open block."""
        self.known: Recogniser | None = None

    def feed(self, data: bytes, events: list[AnyEvent]) -> None:
        """See :class:`tidegate.dialects.api.Decoder`."""
        self._read(data, events)
        form = self._form
        self.known = None if form is None or self._partial or self._ended else form.event

    def steady(self) -> Steady | None:
        """See :class:`tidegate.dialects.api.Decoder`."""
        form = self._form
        return form if form is not None and self.known is not None and form.steady else None

    def finish(self, events: list[AnyEvent]) -> None:
        """See :class:`tidegate.dialects.api.Decoder`."""
        self._read_rest(events)
        if self._ended:
            return
        self._check_calls()
        if not self._finished:
            raise Broken("the upstream's answer ended before it was complete")
        self._end({}, events)

    def whole(self, body: bytes, events: list[AnyEvent]) -> None:
        """See :class:`tidegate.dialects.api.Decoder`."""
        answer = read_object(body)
        if not isinstance(answer.get("content"), list):
            raise reported_error(answer)
        try:
            # A whole answer is a stream whose blocks start with all that they hold.
            self._start({"message": answer}, events)
            for index, block in enumerate(answer["content"]):
                events.extend(self._blocks.start({"index": index, "content_block": block}))
                events.extend(self._blocks.stop({"index": index}))
            delta = {name: answer.get(name) for name in ("stop_reason", "stop_sequence")}
            self._message_delta({"delta": delta}, events)
        except WRONG_SHAPE as error:
            raise unreadable(error, "answer") from error
        self._end({}, events)

    def _frame(self, name: bytes, payload: bytes, events: list[AnyEvent]) -> None:
        if self._ended:
            return
        form = self._form
        if form is not None:
            framing = b"event: %b\ndata: " % name if name else b"data: "
            if (delta := form.event(framing + payload + BETWEEN)) is not None:
                events.append(delta)
                return
        payload = payload.strip()
        if not payload or payload == b"[DONE]" or name == b"ping":
            return
        if form is not None:  # another block may be open after this
            if form.used:
                self._learned_in_vain = 0
            self._form = None
        event = read_object(payload)
        kind = event.get("type") or name.decode("utf-8", "replace")
        if kind == "content_block_delta":
            if self._blocks.delta(event, events):
                self._learn(name, payload, events[-1])
            return
        read = _READERS.get(kind)
        if read is not None:
            read(self, event, events)
        elif kind == "error" or "error" in event:
            raise reported_error(event)
        elif kind != "ping":
            events.append(self._item({**event, "type": kind}))

    def _start(self, event: Fields, events: list[AnyEvent]) -> None:
        message: Fields = event["message"]
        usage = read_usage(message.get("usage"))
        if usage is not None and usage.extra is not None:
            self._usage = dict(usage.extra)
        extra: Fields = {"message": {key: message[key] for key in message if key not in _MESSAGE_KNOWN}}
        if beside := _beyond(event, "message"):
            extra["event"] = beside
        model = message.get("model")
        events.append(
            Start(
                model=model if isinstance(model, str) and model else None,
                usage=usage,
                extra={NAME: extra},
            )
        )

    def _block_start(self, event: Fields, events: list[AnyEvent]) -> None:
        events.extend(self._blocks.start(event))

    def _block_stop(self, event: Fields, events: list[AnyEvent]) -> None:
        events.extend(self._blocks.stop(event))

    def _message_delta(self, event: Fields, events: list[AnyEvent]) -> None:
        usage = event.get("usage")
        if isinstance(usage, dict):
            self._usage = merge_usage(self._usage, usage)
        delta: Fields = event.get("delta") or {}
        reason = delta.get("stop_reason")
        if not reason or self._finished:
            if "type" in event:  # a whole answer may lack its reason
                events.append(self._item(event))
            return
        self._finished = True
        called = reason == "end_turn" and self._blocks.called  # so some servers end a turn of calls
        stop = delta.get("stop_sequence")
        extra: Fields = {"delta": delta}
        if isinstance(usage, dict):
            extra["usage"] = usage
        if beside := _beyond(event, "delta", "usage"):
            extra["event"] = beside
        events.append(
            Finish(
                reason="tool_calls" if called else chat_reason(str(reason)),
                stop=stop if isinstance(stop, str) else None,
                extra={NAME: extra},
            )
        )

    def _item(self, event: Fields) -> Item:
        """An event that is no block's. Blocks end by what follows, so it says whether all had ended."""
        return Item(kind=NAME, value=event, extra={NAME: {"between": True}} if self._blocks.between else None)

    def _message_stop(self, event: Fields, events: list[AnyEvent]) -> None:
        self._check_calls()
        self._end(_beyond(event), events)

    @property
    def open_call(self) -> str | None:
        """See :class:`tidegate.dialects.api.Naming`."""
        return self._blocks.open_call

    def _check_calls(self) -> None:
        """A call that was cut off must never look complete."""
        name = self.open_call
        if name is not None:
            raise Broken(f"the upstream's answer ended inside a call of the tool {name!r}")

    def _end(self, beside: Fields, events: list[AnyEvent]) -> None:
        if not self._finished:  # it said that it was done, and not why
            events.append(Finish(reason="stop"))
        self._ended = True
        extra: Extra | None = {NAME: {"event": beside}} if beside else None
        events.append(End(outcome="completed", usage=read_usage(self._usage or None), extra=extra))

    def _learn(self, name: bytes, payload: bytes, event: AnyEvent) -> None:
        """Remember what surrounds the text of a frame that was decoded in full."""
        if self._learned_in_vain >= LEARNING_LIMIT or len(payload) > LONGEST_LEARNED:
            return
        self._learned_in_vain += 1
        self._form = learned(name, payload, event)  # type: ignore[arg-type]


_Reader = Callable[[MessagesDecoder, Fields, list[AnyEvent]], None]

_READERS: Final[Mapping[str, _Reader]] = {
    "message_start": MessagesDecoder._start,
    "content_block_start": MessagesDecoder._block_start,
    "content_block_stop": MessagesDecoder._block_stop,
    "message_delta": MessagesDecoder._message_delta,
    "message_stop": MessagesDecoder._message_stop,
}


def _beyond(event: Fields, *known: str) -> Fields:
    """The members of an event that we do not know."""
    return {name: event[name] for name in event if name != "type" and name not in known}
