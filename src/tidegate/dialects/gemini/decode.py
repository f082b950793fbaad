"""GenerateContentResponse chunks from an upstream to canonical events.

Shapes: https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse. Most chunks of an answer
differ from the one before in their text and their token counts only, so the decoder learns the bytes
around these two from a chunk that it has decoded in full.
"""

from __future__ import annotations

from collections.abc import Iterator
from json import loads
from typing import Any

import msgspec
from msgspec import Struct

from tidegate.core.event import AnyEvent, End, Extra, Item, Start, Text, Thinking
from tidegate.dialects.api import Recogniser
from tidegate.dialects.gemini.candidate import CandidateDecoder, Fields
from tidegate.dialects.gemini.errors import reported_error
from tidegate.dialects.gemini.usage import read_usage
from tidegate.dialects.gemini.words import NAME
from tidegate.dialects.translation.reading import (
    LEARNING_LIMIT,
    LONGEST_LEARNED,
    WRONG_SHAPE,
    FrameReader,
    unreadable,
)
from tidegate.errors import Broken, SourceError
from tidegate.wire.payload import read_inside

_CHUNK_KNOWN = frozenset({"candidates", "usageMetadata", "modelVersion", "responseId"})
_decode_json = msgspec.json.Decoder().decode
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode

_BEFORE, _ENDS = b"data: ", (b"\r\n\r\n", b"\n\n")
"""The framing around a payload, as Google's servers write it and as others do."""
_NUMBERS = b"0123456789"
_USAGE = b'"usageMetadata":'
_LONGEST_TAIL = 16 * 1024
"""Bytes at the end of a stream in which an error without framing is looked for."""


class _Surroundings(Struct, frozen=True):
    """The bytes around the text of a chunk: before it, after it up to the usage, and after the usage."""

    before: bytes
    after: bytes
    ends: tuple[bytes, bytes]
    usage: bytes | None
    """The usage of the learned chunk without its digits: what most later ones differ in."""
    kind: type[Text] | type[Thinking]
    choice: int
    block: int
    extra: Extra | None


class GeminiDecoder(FrameReader):
    """Decodes one streamed or whole answer. Only the end of the body tells that there are no more chunks."""

    __slots__ = (
        "_begun",
        "_blocked",
        "_candidates",
        "_counted",
        "_ended",
        "_extra",
        "_known",
        "_tail",
        "_usage",
    )

    known: Recogniser | None = None
    """Never: what a chunk counts is remembered as well, so :meth:`feed` has to see each."""

    def __init__(self, max_frame: int) -> None:
        super().__init__(max_frame)
        self._candidates: dict[int, CandidateDecoder] = {}
        self._begun = False
        self._ended = False
        self._blocked = False
        self._usage: Fields | None = None
        self._counted: bytes | None = None
        """A newer usage, still encoded: each chunk has one, and the last one counts."""
        self._extra: Extra | None = None
        self._known: _Surroundings | None = None
        self._tail = b""

    def feed(self, data: bytes, events: list[AnyEvent]) -> None:
        """See :class:`tidegate.dialects.api.Decoder`."""
        known = self._known
        if known is not None and not self._partial and data.startswith(known.before):
            event = self._recognised(data, known)
            if event is not None:
                self._learned_in_vain = 0
                events.append(event)
                return
        self._tail = (self._tail + data)[-_LONGEST_TAIL:]
        self._read(data, events)

    def finish(self, events: list[AnyEvent]) -> None:
        """See :class:`tidegate.dialects.api.Decoder`."""
        self._read_rest(events)
        if not self._ended:
            self._end(events)

    def whole(self, body: bytes, events: list[AnyEvent]) -> None:
        """See :class:`tidegate.dialects.api.Decoder`. An array holds the chunks of a stream."""
        value = _read_json(body)
        chunks = value if isinstance(value, list) else [value]
        try:
            for chunk in chunks:
                self._chunk(_object(chunk), events)
        except WRONG_SHAPE as error:
            raise unreadable(error, "answer") from error
        self._end(events)

    def _recognised(self, data: bytes, known: _Surroundings) -> Text | Thinking | None:
        """The event of a read that holds one chunk like the one that was learned."""
        end = known.ends[0]
        if not data.endswith(end):
            end = known.ends[1]
            if not data.endswith(end):
                return None
        literal = data[len(known.before) : -len(end)]
        usage: bytes | None = None
        if known.usage is not None:
            literal, found, usage = literal.partition(known.after)
            if not found or (usage.translate(None, _NUMBERS) != known.usage and _read_usage(usage) is None):
                return None
        text = read_inside(literal)
        if not text:
            return None
        if usage is not None:
            self._counted = usage
        if known.kind is Text:
            return Text(text=text, choice=known.choice, block=known.block, extra=known.extra)
        return Thinking(text=text, choice=known.choice, block=known.block, extra=known.extra)

    def _frame(self, name: bytes, payload: bytes, events: list[AnyEvent]) -> None:
        payload = payload.strip()
        if self._ended or not payload or payload == b"[DONE]":
            return
        first = len(events)
        self._chunk(_object(_read_json(payload)), events)
        self._known = None  # another block may be open by now
        if (
            len(events) == first + 1
            and self._learned_in_vain < LEARNING_LIMIT
            and len(payload) < LONGEST_LEARNED
        ):
            self._learn(payload, events[first])

    def _chunk(self, chunk: Fields, events: list[AnyEvent]) -> None:
        error = reported_error(chunk)
        if error is not None:
            raise error
        usage = chunk.get("usageMetadata")
        if isinstance(usage, dict):
            self._usage, self._counted = usage, None
        begins = not self._begun
        if begins:
            self._begun = True
            model = chunk.get("modelVersion")
            events.append(
                Start(model=model if isinstance(model, str) and model else None, usage=read_usage(usage))
            )
        extra = {key: chunk[key] for key in chunk if key not in _CHUNK_KNOWN}
        blocked = isinstance(extra.get("promptFeedback"), dict) and extra["promptFeedback"].get("blockReason")
        candidates = [each for each in chunk.get("candidates") or () if isinstance(each, dict)]
        if blocked and not candidates and not self._candidates:
            # No answer at all: what other dialects tell as an answer that was filtered.
            self._candidate(0).finish("SAFETY", {"chunk": extra, "blocked": True}, events)
            return
        for candidate in candidates:
            index = candidate.get("index") or 0
            if type(index) is not int:
                raise Broken("the upstream sent a candidate whose index is not a number")
            self._candidate(index).decode(candidate, extra, events)
            extra = {}
        if not candidates and extra:
            events.append(Item(kind=NAME, value=extra))

    def _candidate(self, index: int) -> CandidateDecoder:
        decoder = self._candidates.get(index)
        if decoder is None:
            decoder = self._candidates[index] = CandidateDecoder(index, self._shared)
        return decoder

    def _end(self, events: list[AnyEvent]) -> None:
        """The end of the answer, if it is one: every candidate that began must have finished."""
        unfinished = next((index for index, each in self._candidates.items() if not each.finished), None)
        if unfinished is not None or not self._candidates:
            error = next(_unframed(self._tail), None)
            if error is not None:
                raise error
        if unfinished is not None:
            raise Broken(f"the upstream's answer ended before candidate {unfinished} was finished")
        if not self._candidates:
            raise Broken("the upstream's answer ended before it began")
        self._ended = True
        if self._counted is not None:
            self._usage = _read_usage(self._counted)
            if self._usage is None:
                raise Broken("the upstream sent token counts that are not JSON")
        events.append(End(outcome="completed", usage=read_usage(self._usage)))

    def _shared(self, extra: Fields) -> Extra | None:
        """One object for equal extras in a row, so that renderers can tell by identity."""
        if not extra:
            return None
        if self._extra is None or extra != self._extra[NAME]:
            self._extra = {NAME: extra}
        return self._extra

    def _learn(self, payload: bytes, event: AnyEvent) -> None:
        """Remember what surrounds the event's text, when that and the usage are all that can differ."""
        if not isinstance(event, (Text, Thinking)) or (
            isinstance(event, Text) and event.logprobs is not None
        ):
            return
        if isinstance(event, Thinking) and (event.signature is not None or event.redacted is not None):
            return
        self._learned_in_vain += 1
        quoted = b'"' + event.text.encode("utf-8", "surrogatepass") + b'"'
        if payload.count(b'"text":') != 1 or payload.count(quoted) != 1 or payload.count(_USAGE) > 1:
            return
        at = payload.index(b'"text":') + len(b'"text":')
        if payload[at : at + 1] == b" ":
            at += 1
        if not payload.startswith(quoted, at):
            return
        after = payload[at + len(quoted) - 1 :]
        at_usage = after.find(_USAGE)
        usage, tail = None, after
        if at_usage >= 0:
            start = at_usage + len(_USAGE)
            size = _object_size(after[start:])
            if size is None:
                return
            usage = after[start : start + size].translate(None, _NUMBERS)
            after, tail = after[:start], after[start + size :]
        ends = (tail + _ENDS[0], tail + _ENDS[1])
        before = _BEFORE + payload[: at + 1]
        self._known = _Surroundings(
            before, after, ends, usage, type(event), event.choice, event.block, event.extra
        )


def _object_size(data: bytes) -> int | None:
    """Bytes of the object that ``data`` begins with, the space before it included."""
    depth = 0
    for at, byte in enumerate(data):
        if byte == 0x7B:
            depth += 1
        elif byte == 0x7D:
            depth -= 1
            if depth == 0:
                try:
                    _decode_object(data[: at + 1])
                except msgspec.DecodeError:
                    return None
                return at + 1
    return None


def _read_usage(encoded: bytes) -> Fields | None:
    """The object of token counts; None when it is none."""
    try:
        return _decode_object(encoded)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _object(value: Any) -> Fields:
    if not isinstance(value, dict):
        raise Broken("the upstream sent a chunk that is not a JSON object")
    return value


def _read_json(payload: bytes) -> Any:
    try:
        return _decode_json(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        try:
            return loads(payload)  # takes lone surrogates, which a cut emoji leaves
        except (ValueError, RecursionError):
            shown = payload[:80].decode("utf-8", "replace")
            raise Broken(f"the upstream sent a chunk that is not JSON: {shown!r}") from None


def _unframed(tail: bytes) -> Iterator[SourceError]:
    """The error that Google's servers write into a stream without any framing, line by line."""
    text = tail.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    at = 0
    while at >= 0:
        if text[at : at + 1] in (b"{", b"["):
            try:
                value = _decode_json(text[at:])
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                value = None
            value = value[0] if isinstance(value, list) and value else value
            error = reported_error(value) if isinstance(value, dict) else None
            if error is not None:
                yield error
        at = text.find(b"\n", at)
        at = at + 1 if at >= 0 else at
