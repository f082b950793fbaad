"""One choice of a streamed Chat answer: its deltas to canonical events.

Forgiving towards what upstreams really send: reasoning under several names, content as a list of parts,
tool calls that are numbered wrongly or not at all, the whole text repeated at an abort.
"""

from __future__ import annotations

from collections.abc import Mapping
from json import dumps
from typing import Any, NamedTuple

from tidegate.core.event import AnyEvent, Extra, Finish, Item, Text, Thinking, Tool
from tidegate.dialects.openai_chat.errors import reported_error
from tidegate.dialects.openai_chat.thinking import NAME, read_delta
from tidegate.dialects.translation.citations import cited
from tidegate.errors import Broken

REASONING_NAMES = ("reasoning_content", "reasoning")
"""Members of a delta that hold reasoning; the first is what we call it where nobody said otherwise."""

_CHOICE_KNOWN = frozenset({"index", "delta", "finish_reason", "logprobs", "message", "usage"})
_DELTA_KNOWN = frozenset({"role", "content", "refusal", "tool_calls"})
_ROLE_AND_CONTENT = frozenset({"role", "content"})
_TOOL_KNOWN = frozenset({"index", "id", "type", "function"})

_NULL_LOGPROBS: Fields = {"logprobs": None}

_SNAPSHOT_LENGTH = 16

Fields = dict[str, Any]


class _Call(NamedTuple):
    block: int
    call_id: str | None
    name: str | None


class Shared:
    """Gives equal extras in a row one object, so that renderers can tell by identity.

    One for all choices of an answer. No method of their decoder, for that would be a cycle, and wait for
    the garbage collector in every answer.
    """

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last: Fields | None = None

    def __call__(self, extra: Fields) -> Extra | None:
        if not extra:
            return None
        if extra != self._last:
            self._last = extra
        return self._last


class ChoiceDecoder:
    """Decodes the deltas of one choice. ``shared`` gives equal extras in a row one object."""

    __slots__ = (
        "_calls",
        "_first_text",
        "_next_block",
        "_open",
        "_position_at",
        "_shared",
        "finished",
        "index",
        "length",
    )

    def __init__(self, index: int, shared: Shared) -> None:
        self.index = index
        self.finished = False
        self._shared = shared
        self._calls: list[_Call] = []
        self._position_at: dict[Any, int] = {}
        self._open: object = None
        """What the open block holds: Text, Thinking, "refusal", or a call's position."""
        self._next_block = 0
        self._first_text = ""
        self.length = 0
        """Characters of text so far, also of deltas that were decoded elsewhere."""

    @property
    def open_call(self) -> str | None:
        """The name of the tool whose call is being written; None when it is something else."""
        return self._calls[self._open].name or "" if isinstance(self._open, int) else None

    def decode(self, choice: Fields, chunk_extra: Fields, events: list[AnyEvent]) -> None:
        """Append the events of one choice object of a chunk."""
        delta = choice.get("delta") or {}
        if len(delta) == 1 and not self.finished and (text := _only_text(choice, delta)):
            self._text(text, None, _outer_extra(choice, chunk_extra), events)
            return
        if not isinstance(delta, dict):
            raise Broken("the upstream sent a chunk whose delta is not an object")
        reason = choice.get("finish_reason")
        if not self.finished and _says_nothing(choice, delta):  # a stream's first chunk, and its last
            if reason:
                self._finish(str(reason), choice, _outer_extra(choice, chunk_extra), [], events)
            return
        outer = _outer_extra(choice, chunk_extra)
        first = len(events)
        self._delta(delta, choice.get("logprobs"), outer, bool(reason), events)
        said = len(events) > first
        if self.finished:
            if said:
                raise Broken("the upstream went on with a choice that it had finished")
        elif reason:
            self._finish(str(reason), choice, outer, events[first:], events)
        elif not said:
            value = {key: choice[key] for key in choice if key not in _CHOICE_KNOWN}
            if choice.get("logprobs"):  # those of a token that ends inside a character, for one
                value["logprobs"] = choice["logprobs"]
            if any(field is not None for field in value.values()):
                events.append(Item(kind="choice", value=value, choice=self.index, extra=self._shared(outer)))

    def _finish(
        self, reason: str, choice: Fields, outer: Fields, said: list[AnyEvent], events: list[AnyEvent]
    ) -> None:
        if reason == "error":
            words = reported_error({"error": choice.get("error")})
            raise words or Broken("the upstream broke off with finish_reason 'error'")
        self.finished = True
        if choice.get("logprobs") and not said:
            outer = _with_logprobs(outer, choice["logprobs"])
        events.append(Finish(reason=reason, choice=self.index, extra=self._shared(outer)))

    def _delta(
        self, delta: Fields, logprobs: Any, outer: Fields, finishes: bool, events: list[AnyEvent]
    ) -> None:
        """The events of one delta, in the order thinking, text, tools, the rest."""
        thinking, name = _reasoning(delta)
        text, part = _content(delta.get("content"))
        thinking += part
        detailed, seals = read_delta(delta["reasoning_details"]) if "reasoning_details" in delta else ("", ())
        if detailed and not thinking:
            thinking, name = detailed, "reasoning"
        if finishes and text and self._is_snapshot(text):
            text = ""
        # An empty `reasoning` beside the text is no news; dropping it keeps one delta like the next.
        unknown = {
            key: value
            for key, value in delta.items()
            if value is not None and value != "" and key not in _DELTA_KNOWN and key != name
        }
        beside = (
            _with_logprobs(outer, logprobs) if logprobs and not text and not delta.get("refusal") else outer
        )
        extra = {**beside, "delta": unknown} if unknown else beside
        if thinking:
            named = {**extra, "name": name} if name and name != REASONING_NAMES[0] else extra
            block = self._block(Thinking)
            events.append(Thinking(text=thinking, choice=self.index, block=block, extra=self._shared(named)))
            extra, unknown = outer, {}
        for signature, redacted in seals:
            self._seal(signature, redacted, extra, events)
            extra, unknown = outer, {}
        if text:
            self._text(text, logprobs or None, extra, events)
            extra, unknown = outer, {}
        refusal = delta.get("refusal")
        if isinstance(refusal, str) and refusal:
            self._refusal(refusal, None if text else logprobs or None, extra, events)
            extra, unknown = outer, {}
        for call in delta.get("tool_calls") or ():
            if isinstance(call, dict) and self._tool(call, extra, events):
                extra, unknown = outer, {}
        notes = delta.get("annotations")
        if unknown:
            events.append(Item(kind="delta", value=unknown, choice=self.index, extra=self._shared(beside)))
        for note in notes if isinstance(notes, list) else ():
            events += self._cited(note)

    def _cited(self, note: Any) -> list[Item]:
        page = note.get("url_citation") if isinstance(note, dict) else None
        if not isinstance(page, dict):
            return []
        start, end = page.get("start_index"), page.get("end_index")
        return cited(NAME, page.get("url"), page.get("title"), choice=self.index, start=start, end=end)

    def _seal(
        self, signature: str | None, redacted: str | None, extra: Fields, events: list[AnyEvent]
    ) -> None:
        events.append(
            Thinking(
                text="",
                choice=self.index,
                block=self._block(Thinking),
                signature=signature,
                redacted=redacted,
                origin=NAME,
                extra=self._shared(extra),
            )
        )

    def _text(self, text: str, logprobs: Any, extra: Fields, events: list[AnyEvent]) -> None:
        self._first_text = self._first_text or text
        self.length += len(text)
        block = self._block(Text)
        events.append(
            Text(text=text, choice=self.index, block=block, logprobs=logprobs, extra=self._shared(extra))
        )

    def _refusal(self, text: str, logprobs: Any, extra: Fields, events: list[AnyEvent]) -> None:
        block, shared = self._block("refusal"), self._shared(extra)
        events.append(
            Text(text=text, choice=self.index, block=block, logprobs=logprobs, refusal=True, extra=shared)
        )

    def _tool(self, call: Fields, extra: Fields, events: list[AnyEvent]) -> bool:
        """One fragment of a tool call. Whether it said anything."""
        function = call.get("function") or {}
        call_id, name = _word(call.get("id")), _word(function.get("name"))
        arguments = function.get("arguments")
        if arguments is None:
            arguments = ""
        elif not isinstance(arguments, str):
            arguments = dumps(arguments, ensure_ascii=False)  # Ollama's native form: already an object
        unknown = {key: value for key, value in call.items() if key not in _TOOL_KNOWN and value is not None}
        if call.get("type") not in (None, "", "function"):
            unknown["type"] = call["type"]
        inside = {key: value for key, value in function.items() if key not in ("name", "arguments")}
        if inside or unknown:
            extra = {**extra, "tool": unknown, "function": inside}
        position = self._position(call.get("index"), call_id, name)
        begins = position is None
        if position is None:
            position = self._position_at[call.get("index")] = len(self._calls)
            self._calls.append(_Call(self._block(position), call_id, name))
        elif not arguments and not unknown and not inside:
            return False
        self._open = position  # fragments of parallel calls may alternate; a call keeps its block
        events.append(
            Tool(
                arguments=arguments,
                choice=self.index,
                block=self._calls[position].block,
                call_id=call_id if begins else None,
                name=name if begins else None,
                extra=self._shared(extra),
            )
        )
        return True

    def _position(self, index: Any, call_id: str | None, name: str | None) -> int | None:
        """Which call a fragment goes on with; None when it begins one.

        Some upstreams number every call 0, some do not number at all: a new id with a name is a new call,
        and so is a name that comes without either.
        """
        position = self._position_at.get(index)
        if position is None:
            return None
        if name and call_id != self._calls[position].call_id and (call_id or index is None):
            return None
        if name and call_id is None and index is None:
            return None
        return position

    def _block(self, holds: object) -> int:
        """The number of the open block, a new one when it holds something else."""
        if holds != self._open:
            self._open = holds
            self._next_block += 1
        return self._next_block - 1

    def _is_snapshot(self, text: str) -> bool:
        """Whether ``text`` repeats everything that was said so far, as some engines do at an abort."""
        if len(text) != self.length or len(text) < _SNAPSHOT_LENGTH:
            return False  # so little may well be said twice
        return text.startswith(self._first_text) and text != self._first_text


def _outer_extra(choice: Fields, chunk_extra: Fields) -> Fields:
    """The unknown fields around a delta; a ``logprobs`` that is null counts as one, to stay as it was."""
    inner: Fields
    if _CHOICE_KNOWN.issuperset(choice):
        inner = _NULL_LOGPROBS if choice.get("logprobs", 0) is None else {}
    else:
        inner = {key: choice[key] for key in choice if key not in _CHOICE_KNOWN}
        if "logprobs" in choice and not choice["logprobs"]:
            inner["logprobs"] = choice["logprobs"]
    outer: Fields = {}
    if chunk_extra:
        outer["chunk"] = chunk_extra
    if inner:
        outer["choice"] = inner
    return outer


def _with_logprobs(outer: Fields, logprobs: Any) -> Fields:
    """The fields around a delta that is no text, with the logprobs that came beside it."""
    return {**outer, "choice": {**outer.get("choice", {}), "logprobs": logprobs}}


def _word(value: Any) -> str | None:
    """An id or a name, which some servers send as a number."""
    return str(value) if value else None


def _only_text(choice: Fields, delta: Fields) -> str | None:
    """The text of a choice that holds a piece of it and nothing else, as nearly all of them do."""
    text = delta.get("content")
    if isinstance(text, str) and choice.get("finish_reason") is None and not choice.get("logprobs"):
        return text
    return None


def _says_nothing(choice: Fields, delta: Fields) -> bool:
    """Whether there is nothing but a role and a reason to finish."""
    return (
        not delta.get("content")
        and not choice.get("logprobs")
        and _ROLE_AND_CONTENT.issuperset(delta)
        and _CHOICE_KNOWN.issuperset(choice)
    )


def _reasoning(delta: Fields) -> tuple[str, str | None]:
    """The reasoning text of a delta and the name that it went by."""
    for name in REASONING_NAMES:
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
