"""OpenAI Chat chunks from an upstream to canonical events.

Shapes: https://platform.openai.com/docs/api-reference/chat-streaming. Most frames of an answer differ
from the one before in one string only, so the decoder learns the bytes around that string from a frame
that it has decoded in full; a frame with the same surroundings then needs just the string decoded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tidegate.core.event import AnyEvent, End, Extra, Item, Start, Text, Thinking, Tool
from tidegate.core.steady import Steady
from tidegate.core.usage import Usage
from tidegate.dialects.api import Recogniser
from tidegate.dialects.openai_chat.choice import REASONING_NAMES, ChoiceDecoder, Shared
from tidegate.dialects.openai_chat.errors import reported_error
from tidegate.dialects.openai_chat.surroundings import (
    AFTER,
    BEFORE,
    Surroundings,
    Twofold,
    padding,
    twofold,
)
from tidegate.dialects.openai_chat.usage import read_usage, reported_usage, with_another_choice
from tidegate.dialects.translation.reading import (
    LEARNING_LIMIT,
    LONGEST_LEARNED,
    WRONG_SHAPE,
    FrameReader,
    unreadable,
)
from tidegate.errors import Broken
from tidegate.wire.payload import read_object

_CHUNK_KNOWN = frozenset({"id", "object", "created", "model", "choices", "usage"})


class ChatDecoder(FrameReader):
    """Decodes one streamed or whole Chat Completions answer."""

    __slots__ = (
        "_begun",
        "_beside_usage",
        "_choices",
        "_counted_beside",
        "_ended",
        "_form",
        "_outer",
        "_shared",
        "_usage",
        "known",
    )

    text_key = b'"content":'
    """What stands before the text in a frame."""

    def __init__(self, max_frame: int) -> None:
        super().__init__(max_frame)
        self._choices: dict[int, ChoiceDecoder] = {}
        self._begun = False
        self._ended = False
        self._usage: Usage | None = None
        self._counted_beside = False
        """Whether a chunk without choices had a usage."""
        self._shared = Shared()
        self._beside_usage: Extra | None = None
        """Unknown fields of the chunk without choices that had the usage."""
        self._outer: tuple[Mapping[str, Any], Mapping[str, Any]] = ({}, {})
        """The unknown fields of the last two chunks, to see what differs beside the text."""
        self._form: Surroundings | Twofold | None = None
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
        if not self._ended:
            self._end(events)

    def whole(self, body: bytes, events: list[AnyEvent]) -> None:
        """See :class:`tidegate.dialects.api.Decoder`."""
        answer = read_object(body)
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
        except WRONG_SHAPE as error:
            raise unreadable(error, "answer") from error
        self._end(events)

    def _frame(self, name: bytes, payload: bytes, events: list[AnyEvent]) -> None:
        if self._ended:
            return
        form = self._form
        if form is not None and not name and (event := form.event(BEFORE + payload + AFTER)) is not None:
            events.append(event)
            return
        payload = payload.strip()
        if payload == b"[DONE]":
            self._end(events)
            return
        if not payload or name == b"ping":
            return
        chunk = read_object(payload)
        if name == b"error" and "error" not in chunk:
            chunk = {"error": chunk}
        first = len(events)
        if form is not None:  # another block may be open after this
            if form.said:
                self._learned_in_vain = 0
            form.settle()
            self._form = None
        self._chunk(chunk, events)
        if (
            len(events) == first + 1
            and self._learned_in_vain < LEARNING_LIMIT
            and len(payload) < LONGEST_LEARNED
        ):
            self._learn(payload, events[first])

    def _chunk(self, chunk: dict[str, Any], events: list[AnyEvent]) -> None:
        extra = {key: value for key, value in chunk.items() if key not in _CHUNK_KNOWN}
        self._outer = (self._outer[1], extra)
        choices = chunk.get("choices") or ()
        told = chunk.get("usage")
        beside = extra and ("error" in extra or "x_groq" in extra)
        if (beside or not choices) and (error := reported_error(chunk)) is not None:
            raise error
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
        usage = reported_usage(chunk) if told or beside or (extra and told is not None) else None
        for choice in choices:
            if isinstance(choice, dict):
                index = choice.get("index") or 0
                if type(index) is not int:
                    raise Broken("the upstream sent a choice whose index is not a number")
                decoder = self._choices.get(index)
                if decoder is None:
                    decoder = self._choices[index] = ChoiceDecoder(index, self._shared)
                decoder.decode(choice, extra, events)
                if usage is None and "usage" in choice:  # where Moonshot reports it
                    usage = read_usage(choice["usage"])
        if usage is not None:
            again = self._counted_beside and not choices and len(self._choices) > 1
            self._usage = with_another_choice(self._usage, usage) if again and self._usage else usage
            self._counted_beside = not choices
        if not choices and extra and not begins:
            if usage is None:
                events.append(Item(kind="chunk", value=extra))
            else:
                self._beside_usage = {"chunk": extra}

    @property
    def open_call(self) -> str | None:
        """See :class:`tidegate.dialects.api.Naming`."""
        calls = (each.open_call for each in self._choices.values() if not each.finished)
        return next((name for name in calls if name is not None), None)

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

    def _learn(self, payload: bytes, event: AnyEvent) -> None:
        """Remember what surrounds the event's text, when that text is all the frame can differ in."""
        if type(event) is Text and event.logprobs is None and not event.refusal:
            key, text = self.text_key, event.text
        elif type(event) is Thinking and event.signature is None and event.redacted is None:
            key = b'"%b":' % str((event.extra or {}).get("name", REASONING_NAMES[0])).encode()
            text = event.text
        elif type(event) is Tool and event.call_id is None and event.name is None:
            key, text = b'"arguments":', event.arguments
        else:
            return
        self._learned_in_vain += 1
        quoted = b'"' + text.encode("utf-8", "surrogatepass") + b'"'
        if payload.count(key) != 1 or payload.count(quoted) != 1:
            return
        at = payload.index(key) + len(key)
        if payload[at : at + 1] == b" ":
            at += 1
        if payload.startswith(quoted, at):
            before = BEFORE + payload[: at + 1]
            after = payload[at + len(quoted) - 1 :] + AFTER
            choice = self._choices[event.choice]
            if type(event) is Text and (other := padding(self._outer[1], self._outer[0])) is not None:
                self._form = twofold(before, after, other, event, choice)
            if self._form is None:
                self._form = Surroundings(before, after, event, choice)
