"""The output items of an answer while they are told: which frames begin, continue and end each kind.

An item collects what it is told, so that the ``done`` frames and the whole response need no second look at
the stream. What was cut off gets no ``done`` frame: clients act on those.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from tidegate.core.event import Extra, Item, Text, Thinking, Tool
from tidegate.dialects.openai_responses import reasoning
from tidegate.dialects.openai_responses.tools import Called
from tidegate.dialects.openai_responses.usage import NAME
from tidegate.dialects.translation.customs import input_of

Fields = dict[str, Any]
Tell = Callable[[str, Fields], None]
"""Writes a frame of a type, with these members."""

_NOTHING: Final[Fields] = {}


class Way(NamedTuple):
    """How the next delta of an open part is told: the frame's type and its other members."""

    kind: str
    fields: Fields
    after: Fields
    """Members that come after the delta."""
    parts: list[str]
    """Where its text is collected."""


def beside(event: Text | Thinking | Tool | Item) -> Fields | None:
    """What an upstream of the same dialect said beside an event; None when it came from another."""
    extra: Extra | None = event.extra
    return None if extra is None else extra.get(NAME)


class OpenItem:
    """An item that has begun. ``place`` are the members that say where frames belong."""

    def __init__(self, tell: Tell, index: int, item: Fields) -> None:
        self._tell = tell
        self.index = index
        self.item = item
        self.place: Fields = {"item_id": item.get("id"), "output_index": index}

    def begin(self) -> None:
        """Tell that the item begins."""
        begun = {**self.item, "status": "in_progress"} if "status" in self.item else dict(self.item)
        self._tell("response.output_item.added", {"output_index": self.index, "item": begun})

    def change(self, told: Fields | None) -> None:
        """Take fields that the upstream changed at the item's end."""
        if told:
            self.item.update(told.get("done", _NOTHING))

    def close_part(self) -> None:
        """End the open part, if there is one."""

    def close(self, *, cut: bool, incomplete: bool) -> Fields:
        """End the item, and give it as it stands. ``cut``: it broke off, so nothing is told as done."""
        if not cut:
            self.close_part()
        if "status" in self.item:
            self.item["status"] = "incomplete" if cut or incomplete else "completed"
        if not cut:
            self._tell("response.output_item.done", {"output_index": self.index, "item": self.item})
        return self.item


class Message(OpenItem):
    """A message: parts of text and refusal."""

    def __init__(self, tell: Tell, index: int, fields: Fields, made_id: str) -> None:
        item = {"id": made_id, "type": "message", "status": "completed", "role": "assistant", "content": []}
        super().__init__(tell, index, {**item, **fields})
        self._parts: list[str] | None = None
        self._refusal = False

    def open_part(self, refusal: bool, fields: Fields) -> None:
        """Begin a part."""
        self._parts, self._refusal = [], refusal
        part: Fields = (
            {"type": "refusal", "refusal": "", **fields}
            if refusal
            else {"type": "output_text", "annotations": [], "logprobs": [], "text": "", **fields}
        )
        self._tell("response.content_part.added", {**self._where(1), "part": dict(part)})
        self.item["content"].append(part)

    def _where(self, ahead: int = 0) -> Fields:
        return {**self.place, "content_index": len(self.item["content"]) - 1 + ahead}

    def way(self) -> Way:
        """How more of the open part is told."""
        assert self._parts is not None
        kind = "refusal" if self._refusal else "output_text"
        after: Fields = {} if self._refusal else {"logprobs": []}
        return Way(f"response.{kind}.delta", self._where(), after, self._parts)

    def logprobs(self, told: Any) -> list[Any]:
        """Keep the logprobs of a delta, and give them in the form that is told here."""
        found = told.get("content") if isinstance(told, dict) else None
        if not found or not isinstance(found, list) or self._refusal:
            return []
        self.item["content"][-1]["logprobs"] += found
        return list(found)

    def annotate(self, annotation: Any) -> int | None:
        """Keep a note on the open part; its number, or None where there is no text to note it on."""
        if self._parts is None or self._refusal:
            return None
        notes: list[Any] = self.item["content"][-1]["annotations"]
        notes.append(annotation)
        return len(notes) - 1

    def close_part(self) -> None:
        if self._parts is None:
            return
        part, where = self.settle(), self._where()
        self._parts = None
        if self._refusal:
            self._tell("response.refusal.done", {**where, "refusal": part["refusal"]})
        else:
            told = {**where, "text": part["text"], "logprobs": part["logprobs"]}
            self._tell("response.output_text.done", told)
        self._tell("response.content_part.done", {**where, "part": part})

    def settle(self) -> Fields:
        """Put together what the open part has collected."""
        part: Fields = self.item["content"][-1]
        part["refusal" if self._refusal else "text"] = "".join(self._parts or ())
        return part

    def close(self, *, cut: bool, incomplete: bool) -> Fields:
        if cut and self._parts is not None:
            self.settle()
        return super().close(cut=cut, incomplete=incomplete)


class Reasoning(OpenItem):
    """Reasoning: parts of a summary, or of the reasoning itself where an upstream shows it."""

    def __init__(self, tell: Tell, index: int, fields: Fields, made_id: str) -> None:
        super().__init__(tell, index, {"id": made_id, "type": "reasoning", "summary": [], **fields})
        self._parts: list[str] | None = None
        self._part: Fields = {}
        self._summary = True

    def open_part(self, told: Fields) -> None:
        """Remember what the next part is; it begins with its first words, of which there may be none."""
        self._part = {"type": "summary_text", **told}
        self._summary = self._part["type"] == "summary_text"

    def _begin_part(self) -> list[str]:
        self._parts = []
        parts = self.item["summary"] if self._summary else self.item.setdefault("content", [])
        part = {**self._part, "text": ""}
        parts.append(part)
        name = "reasoning_summary_part" if self._summary else "content_part"
        self._tell(f"response.{name}.added", {**self._where(), "part": dict(part)})
        return self._parts

    def _where(self) -> Fields:
        if self._summary:
            return {**self.place, "summary_index": len(self.item["summary"]) - 1}
        return {**self.place, "content_index": len(self.item["content"]) - 1}

    def way(self) -> Way:
        """How more of the open part is told."""
        parts = self._begin_part() if self._parts is None else self._parts
        kind = "reasoning_summary_text" if self._summary else "reasoning_text"
        return Way(f"response.{kind}.delta", self._where(), {}, parts)

    def sign(self, event: Thinking) -> None:
        """Keep a signature, or reasoning that is hidden."""
        if event.signature is not None:
            self.item["encrypted_content"] = reasoning.show(event.signature, event.origin)
        elif event.redacted is not None:
            self.item["encrypted_content"] = reasoning.show_redacted(event.redacted, event.origin)

    def close_part(self) -> None:
        if self._parts is None:
            return
        where, part = self._where(), self.settle()
        self._parts = None
        kind = "reasoning_summary_text" if self._summary else "reasoning_text"
        self._tell(f"response.{kind}.done", {**where, "text": part["text"]})
        name = "reasoning_summary_part" if self._summary else "content_part"
        self._tell(f"response.{name}.done", {**where, "part": part})

    def settle(self) -> Fields:
        """Put together what the open part has collected."""
        part: Fields = self.item["summary" if self._summary else "content"][-1]
        part["text"] = "".join(self._parts or ())
        return part

    def close(self, *, cut: bool, incomplete: bool) -> Fields:
        if cut and self._parts is not None:
            self.settle()
        return super().close(cut=cut, incomplete=incomplete)


class Call(OpenItem):
    """A call of a tool. ``held``: its input comes wrapped in JSON, so it is told when it is whole."""

    def __init__(
        self, tell: Tell, index: int, event: Tool, known: Called | None, made: tuple[str, str]
    ) -> None:
        told = beside(event)
        fields: Fields = (told or _NOTHING).get("item", _NOTHING)
        self.custom = event.custom or (known is not None and known.custom)
        self.held = self.custom and not event.custom
        kind, self._member = ("custom_tool_call", "input") if self.custom else ("function_call", "arguments")
        name = known.name if known is not None else event.name or ""
        item: Fields = {
            "id": f"{'ctc' if self.custom else 'fc'}_{made[0]}",
            "type": kind,
            "status": "completed",
            self._member: "",
            "call_id": event.call_id or made[1],
            "name": name,
        }
        if known is not None and known.namespace:
            item["namespace"] = known.namespace
        super().__init__(tell, index, {**item, **fields})
        self.parts: list[str] = []

    def way(self) -> Way:
        """How more of what the tool is given is told."""
        kind = "custom_tool_call_input" if self.custom else "function_call_arguments"
        return Way(f"response.{kind}.delta", self.place, {}, self.parts)

    def close(self, *, cut: bool, incomplete: bool) -> Fields:
        text = "".join(self.parts)
        untold = self.held or not text
        if self.held:
            text = "" if cut else input_of(text)
        elif not text and not cut and not self.custom and self.item["name"]:
            text = "{}"  # what is called without arguments is still read as JSON
        if untold and text and not cut:
            way = self.way()
            self._tell(way.kind, {**way.fields, "delta": text})
        self.item[self._member] = text
        if not cut:
            kind = "custom_tool_call_input" if self.custom else "function_call_arguments"
            told = {**self.place, self._member: text}
            if not self.custom:
                told["name"] = self.item["name"]
            self._tell(f"response.{kind}.done", told)
        return super().close(cut=cut, incomplete=incomplete and cut)


class Other(OpenItem):
    """An item of a kind that we do not know, told in the upstream's own events."""

    def __init__(self, tell: Tell, index: int, value: Fields) -> None:
        super().__init__(tell, index, dict(value.get("item") or {}))
        self._done = False

    def begin(self) -> None:
        """Its own first event says that it begins; a stand-in where there was none."""

    def open(self, value: Fields) -> None:
        """Tell the first event, after one that says that the item begins."""
        if value.get("type") != "response.output_item.added":
            super().begin()

    def tell(self, value: Fields) -> None:
        """Tell an event of the item as it came."""
        if value.get("type") == "response.output_item.done":
            self._done = True
            self.item = dict(value.get("item") or self.item)
        self._tell(str(value.get("type")), relocated(value, self.index))

    def close(self, *, cut: bool, incomplete: bool) -> Fields:
        if self._done:
            return self.item
        return super().close(cut=cut, incomplete=incomplete)


def relocated(value: Fields, index: int) -> Fields:
    """The members of an upstream's event, at the place that its item has here."""
    members = {name: told for name, told in value.items() if name != "type"}
    if "output_index" in members:
        members["output_index"] = index
    return members
