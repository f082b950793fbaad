"""OpenAI Chat chunks from an upstream to canonical events.

Shapes: https://platform.openai.com/docs/api-reference/chat-streaming. Most frames of an answer differ
from the one before in one string only, so the decoder learns the bytes around that string from a frame
that it has decoded in full; a frame with the same surroundings then needs just the string decoded.
"""

from __future__ import annotations

from collections.abc import Mapping
from json import dumps, loads
from typing import Any, NamedTuple

import msgspec

from tidegate.core.event import AnyEvent, End, Extra, Finish, Item, Start, Text, Thinking, Tool
from tidegate.core.usage import Usage
from tidegate.dialects.openai_chat.errors import reported_error
from tidegate.dialects.openai_chat.usage import read_usage
from tidegate.errors import Broken
from tidegate.wire.sse import SSEDecoder

_CHUNK_KNOWN = frozenset({"id", "object", "created", "model", "choices", "usage"})
_CHOICE_KNOWN = frozenset({"index", "delta", "finish_reason", "logprobs", "message", "usage"})
_DELTA_KNOWN = frozenset({"role", "content", "tool_calls"})
_TOOL_KNOWN = frozenset({"index", "id", "type", "function"})
_REASONING_NAMES = ("reasoning_content", "reasoning")

_decode_string = msgspec.json.Decoder(str).decode
_decode_json = msgspec.json.Decoder().decode

_LEARNING_LIMIT = 8
"""So many surroundings are learned in vain before a stream's frames are taken to differ too much."""

_SNAPSHOT_HEAD = 64


class _Surroundings(NamedTuple):
    """The bytes before and after the one string in which the frames of a block differ."""

    before: bytes
    after: bytes
    kind: type[Text] | type[Thinking] | type[Tool]
    choice: int
    block: int
    extra: Extra | None
    state: _Choice


class _Choice:
    """What is known of one choice so far."""

    __slots__ = ("calls", "finished", "head", "length", "next_block", "open_kind", "position_at")

    def __init__(self) -> None:
        self.next_block = 0
        self.open_kind: object = None
        self.calls: list[_Call] = []
        self.position_at: dict[Any, int] = {}
        self.finished = False
        self.length = 0
        self.head = ""

    def block(self, kind: object) -> int:
        """The number of the open block of this kind, opening it when another was open."""
        if kind != self.open_kind:
            self.open_kind = kind
            self.next_block += 1
        return self.next_block - 1

    def saw_text(self, text: str) -> None:
        if self.length < _SNAPSHOT_HEAD:
            self.head = (self.head + text)[:_SNAPSHOT_HEAD]
        self.length += len(text)

    def is_snapshot(self, text: str) -> bool:
        """Whether ``text`` repeats everything that was said so far, as some engines do on an abort."""
        return len(text) == self.length >= 2 and text[:_SNAPSHOT_HEAD] == self.head


class _Call(NamedTuple):
    call_id: str | None
    name: str | None


class ChatDecoder:
    """Decodes one streamed or whole Chat Completions answer."""

    def __init__(self) -> None:
        self._sse = SSEDecoder()
        self._choices: dict[int, _Choice] = {}
        self._begun = False
        self._ended = False
        self._usage: Usage | None = None
        self._extra: Extra | None = None
        self._known: _Surroundings | None = None
        self._learned_in_vain = 0

    def feed(self, data: bytes) -> list[AnyEvent]:
        """See :class:`tidegate.dialects.api.Decoder`."""
        events: list[AnyEvent] = []
        for name, payload in self._sse.feed(data):
            self._frame(name, payload, events)
        return events

    def finish(self) -> list[AnyEvent]:
        """See :class:`tidegate.dialects.api.Decoder`."""
        events: list[AnyEvent] = []
        for name, payload in self._sse.finish():
            self._frame(name, payload, events)
        if not self._ended:
            self._end(events)
        return events

    def whole(self, body: bytes) -> list[AnyEvent]:
        """See :class:`tidegate.dialects.api.Decoder`."""
        answer = _read_object(body)
        if "choices" not in answer:
            raise reported_error(answer) or Broken("the upstream's answer has no choices")
        # A whole answer is a stream of one chunk whose deltas are the messages.
        choices = [
            {**choice, "delta": choice.get("message") or {}, "message": None}
            for choice in answer.get("choices") or []
            if isinstance(choice, dict)
        ]
        events: list[AnyEvent] = []
        self._chunk({**answer, "choices": choices}, events)
        self._end(events)
        return events

    def _frame(self, name: bytes, payload: bytes, events: list[AnyEvent]) -> None:
        if self._ended:
            return
        known = self._known
        if known is not None and not name:
            text = _between(payload, known.before, known.after)
            if text:
                self._learned_in_vain = 0
                events.append(_delta_event(known, text))
                return
        if payload == b"[DONE]":
            self._end(events)
            return
        chunk = _read_object(payload)
        if name == b"error" and "error" not in chunk:
            chunk = {"error": chunk}
        first = len(events)
        self._chunk(chunk, events)
        self._known = None  # another block may be open by now
        if len(events) == first + 1 and self._learned_in_vain < _LEARNING_LIMIT:
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
        usage = read_usage(chunk.get("usage"))
        if usage is not None:
            self._usage = usage
        choices = chunk.get("choices") or ()
        for choice in choices:
            if isinstance(choice, dict):
                self._choice(choice, extra, events)
        if not choices and extra and not begins and usage is None:
            events.append(Item(kind="chunk", value=extra))

    def _choice(self, choice: dict[str, Any], chunk_extra: dict[str, Any], events: list[AnyEvent]) -> None:
        index = choice.get("index") or 0
        state = self._choices.get(index)
        if state is None:
            state = self._choices[index] = _Choice()
        usage = read_usage(choice.get("usage"))
        if usage is not None and self._usage is None:
            self._usage = usage  # Moonshot reports usage inside the choice
        delta = choice.get("delta") or {}
        if not isinstance(delta, dict):
            raise Broken("the upstream sent a chunk whose delta is not an object")
        reason = choice.get("finish_reason")
        outer = _outer_extra(choice, chunk_extra)
        first = len(events)
        self._delta(index, state, delta, choice.get("logprobs"), outer, bool(reason), events)
        if state.finished and len(events) > first:
            raise Broken("the upstream went on with a choice that it had finished")
        if reason and not state.finished:
            self._finish(index, state, str(reason), choice, outer if len(events) == first else {}, events)
        elif len(events) == first and _says_something(choice):
            value = {key: val for key, val in choice.items() if key not in _CHOICE_KNOWN}
            events.append(Item(kind="choice", value=value, choice=index, extra=self._shared(outer)))

    def _finish(
        self,
        index: int,
        state: _Choice,
        reason: str,
        choice: dict[str, Any],
        outer: dict[str, Any],
        events: list[AnyEvent],
    ) -> None:
        if reason == "error":
            raise Broken("the upstream broke off with finish_reason 'error'")
        state.finished = True
        logprobs = choice.get("logprobs")
        if logprobs and not any(isinstance(event, Text) for event in events):
            outer = {**outer, "choice": {**outer.get("choice", {}), "logprobs": logprobs}}
        events.append(Finish(reason=reason, choice=index, extra=self._shared(outer)))

    def _delta(
        self,
        index: int,
        state: _Choice,
        delta: dict[str, Any],
        logprobs: Any,
        outer: dict[str, Any],
        finishes: bool,
        events: list[AnyEvent],
    ) -> None:
        """The events of one delta, in the order thinking, text, tools, the rest."""
        thinking, named = _thinking(delta)
        text, inner_thinking = _content(delta.get("content"))
        if finishes and text and state.is_snapshot(text):
            text = ""
        # An empty `reasoning` beside the text is no news; dropping it keeps the surroundings alike.
        unknown = {
            key: value
            for key, value in delta.items()
            if value is not None and value != "" and key not in _DELTA_KNOWN and key != named
        }
        extra = {**outer, "delta": unknown} if unknown else outer
        if thinking or inner_thinking:
            names = {**extra, "name": named} if named and named != _REASONING_NAMES[0] else extra
            shared = self._shared(names)
            events.append(
                Thinking(
                    text=thinking + inner_thinking, choice=index, block=state.block(Thinking), extra=shared
                )
            )
            extra = outer
        if text:
            state.saw_text(text)
            block = state.block(Text)
            events.append(
                Text(text=text, choice=index, block=block, logprobs=logprobs, extra=self._shared(extra))
            )
            extra = outer
        for call in delta.get("tool_calls") or ():
            if isinstance(call, dict):
                extra = self._tool(index, state, call, extra, outer, events)
        if extra is not outer:
            events.append(Item(kind="delta", value=unknown, choice=index, extra=self._shared(outer)))

    def _tool(
        self,
        index: int,
        state: _Choice,
        call: dict[str, Any],
        extra: dict[str, Any],
        outer: dict[str, Any],
        events: list[AnyEvent],
    ) -> dict[str, Any]:
        function = call.get("function") or {}
        call_id, name = call.get("id") or None, function.get("name") or None
        arguments = function.get("arguments")
        if arguments is None:
            arguments = ""
        elif not isinstance(arguments, str):
            arguments = dumps(arguments, ensure_ascii=False)  # Ollama's native form: already an object
        position = _position(state, call.get("index"), call_id, name)
        unknown = {name: value for name, value in call.items() if name not in _TOOL_KNOWN}
        if call.get("type") not in (None, "", "function"):
            unknown["type"] = call["type"]
        is_first = position is None
        if position is None:
            position = state.position_at[call.get("index")] = len(state.calls)
            state.calls.append(_Call(call_id, name))
        if is_first or arguments or unknown:
            if unknown:
                extra = {**extra, "tool": unknown}
            events.append(
                Tool(
                    arguments=arguments,
                    choice=index,
                    block=state.block(position),
                    call_id=call_id if is_first else None,
                    name=name if is_first else None,
                    extra=self._shared(extra),
                )
            )
            return outer
        return extra

    def _end(self, events: list[AnyEvent]) -> None:
        """The end of the answer, if it is one: every choice that began must have finished."""
        for index, state in self._choices.items():
            if state.finished:
                continue
            if isinstance(state.open_kind, int):
                name = state.calls[state.open_kind].name
                raise Broken(f"the upstream's answer ended inside a call of the tool {name!r}")
            raise Broken(f"the upstream's answer ended before choice {index} was finished")
        if not self._choices:
            raise Broken("the upstream's answer ended before it began")
        self._ended = True
        events.append(End(outcome="completed", usage=self._usage))

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
            case Text(text=text, logprobs=None):
                key = b'"content":'
            case Thinking(text=text, extra=extra, signature=None, redacted=None):
                name = (extra or {}).get("name", _REASONING_NAMES[0])
                key = b'"%b":' % str(name).encode()
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
            before, after = payload[: at + 1], payload[at + len(quoted) - 1 :]
            state = self._choices[event.choice]
            self._known = _Surroundings(
                before, after, type(event), event.choice, event.block, event.extra, state
            )


def _delta_event(known: _Surroundings, text: str) -> Text | Thinking | Tool:
    """The event of a frame of which all but the text was known."""
    if known.kind is Text:
        known.state.saw_text(text)
        return Text(text=text, choice=known.choice, block=known.block, extra=known.extra)
    if known.kind is Thinking:
        return Thinking(text=text, choice=known.choice, block=known.block, extra=known.extra)
    return Tool(arguments=text, choice=known.choice, block=known.block, extra=known.extra)


def _between(payload: bytes, before: bytes, after: bytes) -> str | None:
    """The JSON string between the two, or None when the payload is not made that way."""
    if not payload.startswith(before) or not payload.endswith(after):
        return None
    middle = payload[len(before) : len(payload) - len(after)]
    try:
        if b"\\" in middle or b'"' in middle:
            # Only a valid string literal decodes, so a quote in the middle cannot fool this.
            return _decode_string(b'"%b"' % middle)
        return middle.decode()
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _read_object(payload: bytes) -> dict[str, Any]:
    try:
        value = _decode_json(payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        try:
            value = loads(payload)  # takes lone surrogates, which some servers cut an emoji into
        except ValueError:
            raise Broken("the upstream sent an event that is not JSON") from None
    if not isinstance(value, dict):
        raise Broken("the upstream sent an event that is not a JSON object")
    return value


def _outer_extra(choice: dict[str, Any], chunk_extra: dict[str, Any]) -> dict[str, Any]:
    """The unknown fields around a delta; a ``logprobs`` that is null counts as one, to stay as it was."""
    inner = {key: choice[key] for key in choice if key not in _CHOICE_KNOWN}
    if "logprobs" in choice and not choice["logprobs"]:
        inner["logprobs"] = choice["logprobs"]
    outer: dict[str, Any] = {}
    if chunk_extra:
        outer["chunk"] = chunk_extra
    if inner:
        outer["choice"] = inner
    return outer


def _says_something(choice: dict[str, Any]) -> bool:
    return any(value is not None for key, value in choice.items() if key not in _CHOICE_KNOWN)


def _thinking(delta: dict[str, Any]) -> tuple[str, str | None]:
    """The reasoning text of a delta and the name that it went by."""
    for name in _REASONING_NAMES:
        value = delta.get(name)
        if isinstance(value, str) and value:
            return value, name
    return "", None


def _content(content: Any) -> tuple[str, str]:
    """The text and the thinking in a delta's content, which Mistral sends as a list of typed parts."""
    if isinstance(content, str):
        return content, ""
    if not isinstance(content, list):
        return "", ""
    text, thinking = "", ""
    for part in content:
        if isinstance(part, str):
            text += part
        elif isinstance(part, Mapping):
            inner = part.get("thinking")
            if isinstance(inner, list):
                thinking += "".join(str(piece.get("text", "")) for piece in inner if isinstance(piece, dict))
            elif isinstance(inner, str):
                thinking += inner
            elif isinstance(part.get("text"), str):
                text += part["text"]
    return text, thinking


def _position(state: _Choice, index: Any, call_id: str | None, name: str | None) -> int | None:
    """Which call a fragment goes on with; None when it begins one.

    Some upstreams number every call 0, some do not number at all: a new id with a name is a new call.
    """
    position = state.position_at.get(index)
    if position is None:
        return None
    known = state.calls[position]
    if name and call_id != known.call_id and (call_id or index is None):
        return None
    return position
