"""OpenAI Chat chunks from an upstream to canonical events.

Shapes: https://platform.openai.com/docs/api-reference/chat-streaming. Most frames of an answer differ
from the one before in one string only, so the decoder learns the bytes around that string from a frame
that it has decoded in full; a frame with the same surroundings then needs just the string decoded.
"""

from __future__ import annotations

from dataclasses import dataclass
from json import loads
from typing import Any

import msgspec

from tidegate.core.event import AnyEvent, End, Extra, Item, Start, Text, Thinking, Tool
from tidegate.core.usage import Usage
from tidegate.dialects.openai_chat.choice import REASONING_NAMES, ChoiceDecoder
from tidegate.dialects.openai_chat.errors import reported_error
from tidegate.dialects.openai_chat.usage import read_usage, reported_usage
from tidegate.errors import Broken
from tidegate.wire.sse import SSEDecoder

_CHUNK_KNOWN = frozenset({"id", "object", "created", "model", "choices", "usage"})

_decode_string = msgspec.json.Decoder(str).decode
_decode_json = msgspec.json.Decoder().decode

_WRONG_SHAPE = (AttributeError, TypeError, KeyError, ValueError)
"""What reading a value of another kind than the documented one ends in."""

_LEARNING_LIMIT = 8
"""So many surroundings are learned in vain before a stream's frames are taken to differ too much."""

_BEFORE, _AFTER = b"data: ", b"\n\n"
"""The framing around a payload, as nearly every server writes it."""

_LONGEST_LEARNED = 64 * 1024
"""A frame longer than this is no token, and learning would copy it."""


@dataclass(frozen=True, slots=True)
class _Surroundings:
    """The bytes before and after the one string in which the frames of a block differ.

    Framing included: a read that holds one such frame is recognised before it is cut into frames.
    """

    before: bytes
    after: bytes
    kind: type[Text] | type[Thinking] | type[Tool]
    block: int
    extra: Extra | None
    choice: ChoiceDecoder


@dataclass(frozen=True, slots=True)
class _Twofold:
    """Surroundings of a text beside which one more string differs: OpenAI pads each chunk with a random one.

    That string is the unknown field ``key`` of the chunk, and comes after the text.
    """

    before: bytes
    between: bytes
    after: bytes
    key: str
    block: int
    extra: Extra
    choice: ChoiceDecoder

    def event(self, data: bytes) -> Text | None:
        """The text of a read that holds one such frame, else None."""
        if not data.startswith(self.before) or not data.endswith(self.after):
            return None
        start = len(self.before)
        stop = data.find(self.between, start)
        if stop < 0:
            return None
        text = _string(data[start:stop])
        other = data[stop + len(self.between) : len(data) - len(self.after)]
        if not text or not other.isascii() or b'"' in other or b"\\" in other or b"\n" in other:
            return None
        self.choice.length += len(text)
        extra = {**self.extra, "chunk": {**self.extra["chunk"], self.key: other.decode("ascii")}}
        return Text(text=text, choice=self.choice.index, block=self.block, extra=extra)


class ChatDecoder:
    """Decodes one streamed or whole Chat Completions answer."""

    __slots__ = (
        "_begun",
        "_beside_usage",
        "_choices",
        "_ended",
        "_extra",
        "_known",
        "_last",
        "_learned_in_vain",
        "_partial",
        "_sse",
        "_twofold",
        "_usage",
    )

    text_key = b'"content":'
    """What stands before the text in a frame."""

    def __init__(self, max_frame: int) -> None:
        self._sse = SSEDecoder(max_frame)
        self._partial = False
        """A frame has begun whose end has not come."""
        self._choices: dict[int, ChoiceDecoder] = {}
        self._begun = False
        self._ended = False
        self._usage: Usage | None = None
        self._extra: Extra | None = None
        self._beside_usage: Extra | None = None
        """Unknown fields of the chunk without choices that had the usage."""
        self._last: _Surroundings | None = None
        """What was learned last, to see what else differs."""
        self._twofold: _Twofold | None = None
        self._known: _Surroundings | None = None
        self._learned_in_vain = 0

    def feed(self, data: bytes, events: list[AnyEvent]) -> None:
        """See :class:`tidegate.dialects.api.Decoder`."""
        known = self._known
        if known is not None and not self._partial:
            before, after = known.before, known.after
            if data.startswith(before) and data.endswith(after):
                literal = data[len(before) : -len(after)]
                if b"\\" in literal or b'"' in literal or not literal.isascii():
                    text = _string(literal)
                else:
                    text = literal.decode("ascii")
                if text and known.kind is Text:
                    choice = known.choice
                    choice.length += len(text)
                    self._learned_in_vain = 0
                    events.append(Text(text=text, choice=choice.index, block=known.block, extra=known.extra))
                    return
                if text:
                    self._learned_in_vain = 0
                    events.append(_delta_event(known, text))
                    return
        twofold = self._twofold
        if twofold is not None and not self._partial:
            event = twofold.event(data)
            if event is not None:
                self._learned_in_vain = 0
                events.append(event)
                return
        try:
            frames = self._sse.feed(data)
            self._partial = self._sse.pending
            for name, payload in frames:
                self._frame(name, payload, events)
        except _WRONG_SHAPE as error:
            raise Broken(f"the upstream sent an event of a shape that cannot be read: {error}") from error

    def finish(self, events: list[AnyEvent]) -> None:
        """See :class:`tidegate.dialects.api.Decoder`."""
        try:
            for name, payload in self._sse.finish():
                self._frame(name, payload, events)
        except _WRONG_SHAPE as error:
            raise Broken(f"the upstream sent an event of a shape that cannot be read: {error}") from error
        if not self._ended:
            self._end(events)

    def whole(self, body: bytes, events: list[AnyEvent]) -> None:
        """See :class:`tidegate.dialects.api.Decoder`."""
        answer = _read_object(body)
        if "choices" not in answer:
            raise reported_error(answer) or Broken("the upstream's answer has no choices")
        try:
            # A whole answer is a stream of one chunk whose deltas are the messages.
            choices = [
                {**choice, "delta": choice.get("message") or {}, "message": None}
                for choice in answer.get("choices") or []
                if isinstance(choice, dict)
            ]
            self._chunk({**answer, "choices": choices}, events)
        except _WRONG_SHAPE as error:
            raise Broken(f"the upstream sent an answer of a shape that cannot be read: {error}") from error
        self._end(events)

    def _frame(self, name: bytes, payload: bytes, events: list[AnyEvent]) -> None:
        if self._ended:
            return
        known = self._known
        if known is not None and not name:
            text = _between(payload, known)
            if text:
                self._learned_in_vain = 0
                events.append(_delta_event(known, text))
                return
        payload = payload.strip()
        if payload == b"[DONE]":
            self._end(events)
            return
        if not payload or name == b"ping":
            return
        chunk = _read_object(payload)
        if name == b"error" and "error" not in chunk:
            chunk = {"error": chunk}
        first = len(events)
        self._chunk(chunk, events)
        self._known = self._twofold = None  # another block may be open by now
        if (
            len(events) == first + 1
            and self._learned_in_vain < _LEARNING_LIMIT
            and len(payload) < _LONGEST_LEARNED
        ):
            self._learn(payload, events[first])

    def _chunk(self, chunk: dict[str, Any], events: list[AnyEvent]) -> None:
        error = reported_error(chunk)
        if error is not None:
            raise error
        extra = {key: chunk[key] for key in chunk if key not in _CHUNK_KNOWN}
        begins = not self._begun
        if begins:
            self._begun = True
            model = chunk.get("model")
            events.append(
                Start(
                    model=model if isinstance(model, str) and model else None,
                    extra={"chunk": extra} if extra else None,
                )
            )
        usage = reported_usage(chunk)
        choices = chunk.get("choices") or ()
        for choice in choices:
            if isinstance(choice, dict):
                index = choice.get("index") or 0
                if type(index) is not int:
                    raise Broken("the upstream sent a choice whose index is not a number")
                decoder = self._choices.get(index)
                if decoder is None:
                    decoder = self._choices[index] = ChoiceDecoder(index, self._shared)
                decoder.decode(choice, extra, events)
                usage = usage or read_usage(choice.get("usage"))  # where Moonshot reports it
        self._usage = usage or self._usage
        if not choices and extra and not begins:
            if usage is None:
                events.append(Item(kind="chunk", value=extra))
            else:
                self._beside_usage = {"chunk": extra}

    def _end(self, events: list[AnyEvent]) -> None:
        """The end of the answer, if it is one: every choice that began must have finished."""
        for index, choice in self._choices.items():
            if not choice.finished:
                if choice.open_call is not None:
                    raise Broken(
                        f"the upstream's answer ended inside a call of the tool {choice.open_call!r}"
                    )
                raise Broken(f"the upstream's answer ended before choice {index} was finished")
        if not self._choices:
            raise Broken("the upstream's answer ended before it began")
        self._ended = True
        events.append(End(outcome="completed", usage=self._usage, extra=self._beside_usage))

    def _shared(self, extra: dict[str, Any]) -> Extra | None:
        """One object for equal extras in a row, so that renderers can tell by identity."""
        if not extra:
            return None
        if extra != self._extra:
            self._extra = extra
        return self._extra

    def _learn(self, payload: bytes, event: AnyEvent) -> None:
        """Remember what surrounds the event's text, when that text is all the frame can differ in."""
        match event:
            case Text(text=text, logprobs=None, refusal=False):
                key = self.text_key
            case Thinking(text=text, extra=extra, signature=None, redacted=None):
                key = b'"%b":' % str((extra or {}).get("name", REASONING_NAMES[0])).encode()
            case Tool(arguments=text, call_id=None, name=None):
                key = b'"arguments":'
            case _:
                return
        self._learned_in_vain += 1
        quoted = b'"' + text.encode("utf-8", "surrogatepass") + b'"'
        if payload.count(key) != 1 or payload.count(quoted) != 1:
            return
        at = payload.index(key) + len(key)
        if payload[at : at + 1] == b" ":
            at += 1
        if payload.startswith(quoted, at):
            before = _BEFORE + payload[: at + 1]
            after = payload[at + len(quoted) - 1 :] + _AFTER
            choice = self._choices[event.choice]
            if isinstance(event, Text) and self._last is not None and self._last.before == before:
                self._twofold = _twofold(self._last, after, event, choice)
            self._last = _Surroundings(before, after, type(event), event.block, event.extra, choice)
            self._known = self._last if self._twofold is None else None


def _twofold(last: _Surroundings, after: bytes, event: Text, choice: ChoiceDecoder) -> _Twofold | None:
    """Surroundings with two strings, when the frame differs from the last one in just one more."""
    same = 0
    for one, other in zip(last.after, after, strict=False):
        if one != other:
            break
        same += 1
    start = after.rfind(b'":"', 0, same + 1) + 3
    stop = after.find(b'"', start)
    name = after.rfind(b'"', 0, max(start - 3, 0)) + 1
    if start < 3 or stop < 0 or not 0 < name < start - 3:
        return None
    key = after[name : start - 3].decode("ascii", "replace")
    chunk = (event.extra or {}).get("chunk", {})
    value, field = after[start:stop].decode("ascii", "replace"), b'"%b":' % key.encode("ascii", "replace")
    # Found by its bytes, so make sure that it is a field of the chunk and nothing else of that name.
    if chunk.get(key) != value or after.count(field) != 1 or field in last.before:
        return None
    before = last.before
    return _Twofold(before, after[:start], after[stop:], key, event.block, event.extra or {}, choice)


def _delta_event(known: _Surroundings, text: str) -> Text | Thinking | Tool:
    """The event of a frame of which all but the text was known."""
    choice = known.choice
    if known.kind is Text:
        choice.length += len(text)
        return Text(text=text, choice=choice.index, block=known.block, extra=known.extra)
    if known.kind is Thinking:
        return Thinking(text=text, choice=choice.index, block=known.block, extra=known.extra)
    return Tool(arguments=text, choice=choice.index, block=known.block, extra=known.extra)


def _between(payload: bytes, known: _Surroundings) -> str | None:
    """The string of a frame without its framing, or None when the frame is not made that way."""
    start, stop = len(known.before) - len(_BEFORE), len(payload) - len(known.after) + len(_AFTER)
    if payload[:start] != known.before[len(_BEFORE) :] or payload[stop:] != known.after[: -len(_AFTER)]:
        return None
    return _string(payload[start:stop])


def _string(literal: bytes) -> str | None:
    """The string whose JSON literal has this inside; None when it is not the inside of one literal."""
    try:
        if b"\\" in literal or b'"' in literal or b"\n" in literal:
            # Only a valid literal decodes, so a quote in the middle cannot fool this.
            return _decode_string(b'"%b"' % literal)
        return literal.decode()
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _read_object(payload: bytes) -> dict[str, Any]:
    try:
        value = _decode_json(payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        try:
            # Takes lone surrogates, which some servers cut an emoji into, and bare control characters.
            value = loads(payload, strict=False)
        except (ValueError, RecursionError):
            raise Broken("the upstream sent an event that is not JSON") from None
    except RecursionError:
        raise Broken("the upstream sent an event that is nested too deeply") from None
    if not isinstance(value, dict):
        raise Broken("the upstream sent an event that is not a JSON object")
    return value
