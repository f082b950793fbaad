"""The fold of a stream as one GenerateContentResponse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tidegate.core.event import AnyEvent, End
from tidegate.core.fold import merge
from tidegate.core.request import Header
from tidegate.core.usage import Usage
from tidegate.dialects.framed import Framed
from tidegate.dialects.gemini.pieces import Piece, Pieces
from tidegate.dialects.gemini.usage import write_usage
from tidegate.dialects.translation.items import with_items
from tidegate.wire.ascii_json import ascii_json

_JOINED = frozenset({"text", "thought"})


class GeminiWholeRenderer(Framed):
    """Renders nothing until the stream has completed, then the whole answer at once."""

    content_type = b"application/json; charset=utf-8"

    def __init__(self, header: Header) -> None:
        self._header = header
        self._pieces = Pieces()
        self._candidates: dict[int, _Candidate] = {}
        self._chunk: dict[str, Any] = {}
        self._usage: Usage | None = None
        self._items: list[Mapping[str, Any]] = []

    def render(self, events: Sequence[AnyEvent]) -> bytes:
        """See :class:`tidegate.dialects.api.Renderer`."""
        for piece in self._pieces.of(events):
            self._add(piece)
        last = events[-1]
        if not isinstance(last, End) or last.outcome != "completed":
            return b""
        answer: dict[str, Any] = {}
        if self._candidates:
            answer["candidates"] = [each.value(index) for index, each in sorted(self._candidates.items())]
        answer["usageMetadata"] = write_usage(self._usage or Usage())
        answer["modelVersion"] = self._pieces.model or self._header.model
        answer["responseId"] = self._header.id
        answer.update(self._chunk)
        answer.update(with_items(answer, self._items))
        return ascii_json(answer).encode("ascii")

    def keep_alive(self) -> bytes:
        """See :class:`tidegate.dialects.api.Renderer`."""
        return b""

    def _add(self, piece: Piece) -> None:
        self._usage = piece.usage or self._usage
        if piece.item is not None:
            self._items.append(piece.item)
        if piece.choice is not None:
            candidate = self._candidates.setdefault(piece.choice, _Candidate())
            candidate.add(piece)
            self._chunk.update(piece.chunk)
            return
        for raw in piece.chunk.get("candidates") or ():
            candidate = self._candidates.setdefault(raw.get("index") or 0, _Candidate())
            content = {key: value for key, value in (raw.get("content") or {}).items() if key != "parts"}
            members = {key: value for key, value in raw.items() if key not in ("content", "index")}
            candidate.add(Piece(0, None, members, content))
        self._chunk.update((key, value) for key, value in piece.chunk.items() if key != "candidates")


class _Candidate:
    """The parts of one candidate, in order; texts that follow each other are one."""

    def __init__(self) -> None:
        self._parts: list[dict[str, Any]] = []
        self._texts: list[str] = []
        """Of the last part, when more may be added to it."""
        self._members: dict[str, Any] = {}
        self._content: dict[str, Any] = {}

    def add(self, piece: Piece) -> None:
        for name, value in piece.candidate.items():  # each tells more of the tokens, and the rest anew
            both = name == "logprobsResult" and name in self._members
            self._members[name] = merge(self._members[name], value) if both else value
        self._content.update(piece.content)
        part = piece.part
        if part is None or part == {"text": ""}:
            return
        last = self._parts[-1] if self._parts else None
        if (
            last is not None
            and self._texts
            and isinstance(part.get("text"), str)
            and part.keys() <= _JOINED | {"thoughtSignature"}
            and _kind(part) == _kind(last)
            and ("thoughtSignature" not in part or (part.get("thought") and not part["text"]))
        ):
            self._texts.append(part["text"])
            if "thoughtSignature" in part:
                last["thoughtSignature"] = part["thoughtSignature"]
                self._close()
            return
        self._close()
        self._parts.append(dict(part))
        if isinstance(part.get("text"), str) and part.keys() <= _JOINED:
            self._texts = [part["text"]]

    def value(self, index: int) -> dict[str, Any]:
        self._close()
        parts = self._parts or [{"text": ""}]
        content = {"parts": parts, "role": "model", **self._content}
        return {"content": content, "index": index, **self._members}

    def _close(self) -> None:
        if self._texts:
            self._parts[-1]["text"] = "".join(self._texts)
            self._texts = []


def _kind(part: Mapping[str, Any]) -> bool:
    return bool(part.get("thought"))
