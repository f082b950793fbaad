"""One candidate of an answer: its parts to canonical events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tidegate.core.event import AnyEvent, Extra, Finish, Item, Text, Thinking, Tool
from tidegate.dialects.gemini.arguments import text_of_object
from tidegate.dialects.gemini.logprobs import read_logprobs
from tidegate.dialects.gemini.signatures import untag
from tidegate.dialects.gemini.words import NAME, read_reason, write_reason
from tidegate.dialects.translation.citations import cited
from tidegate.errors import Broken

_CANDIDATE_KNOWN = frozenset({"content", "finishReason", "index", "logprobsResult"})
_CONTENT_KNOWN = frozenset({"parts", "role"})
_TEXT_KNOWN = frozenset({"text", "thought", "thoughtSignature"})
_PART_KNOWN = frozenset({"functionCall", "thought", "thoughtSignature"})
_CALL_KNOWN = frozenset({"id", "name", "args"})

Fields = dict[str, Any]


class CandidateDecoder:
    """Decodes what chunks say of one candidate. ``shared`` gives equal extras in a row one object."""

    __slots__ = ("_called", "_next_block", "_open", "_pages", "_shared", "finished", "index")

    def __init__(self, index: int, shared: Callable[[Fields], Extra | None]) -> None:
        self.index = index
        self.finished = False
        self._shared = shared
        self._open: type[Text] | type[Thinking] | None = None
        self._next_block = 0
        self._called = False
        self._pages: list[Any] = []
        """Addresses of what the answer is grounded on, so far."""

    def decode(self, candidate: Fields, chunk_extra: Fields, events: list[AnyEvent]) -> None:
        """Append the events of one candidate object of a chunk.

        Fields that we do not know go with its finish, else with the first that it says.
        """
        content = candidate.get("content") or {}
        parts = content.get("parts") or ()
        reason = candidate.get("finishReason")
        outer: Fields = {"chunk": chunk_extra} if chunk_extra else {}
        if unknown := {key: candidate[key] for key in candidate if key not in _CANDIDATE_KNOWN}:
            outer["candidate"] = unknown
        if unknown := {key: content[key] for key in content if key not in _CONTENT_KNOWN}:
            outer["content"] = unknown
        logprobs = candidate.get("logprobsResult")
        first = len(events)
        beside = {} if reason else outer
        for part in parts:
            before = len(events)
            if isinstance(part, dict):
                self._part(part, beside, logprobs, events)
            if len(events) > before:
                beside = {}
                logprobs = None if type(events[-1]) is Text else logprobs
        if logprobs is not None:
            outer["candidate"] = {**outer.get("candidate", {}), "logprobsResult": logprobs}
        said = len(events) > first
        if self.finished and said:
            raise Broken("the upstream went on with a candidate that it had finished")
        if not self.finished:
            events += self._cited(candidate.get("groundingMetadata"))
        if reason and not self.finished:
            self.finish(str(reason), outer, events)
        elif not said and outer:
            value = {**outer.get("candidate", {})}
            if "content" in outer:
                value["content"] = outer["content"]
            whole = {**chunk_extra, "candidates": [{**value, "index": self.index}]}
            events.append(Item(kind=NAME, value=whole, choice=self.index))

    def _cited(self, grounding: Any) -> list[Item]:
        """The pages that an answer is grounded on, for other dialects; each is told once."""
        chunks = grounding.get("groundingChunks") if isinstance(grounding, dict) else None
        found: list[Item] = []
        for chunk in chunks if isinstance(chunks, list) else ():
            page = chunk.get("web") if isinstance(chunk, dict) else None
            if isinstance(page, dict) and page.get("uri") not in self._pages:
                self._pages.append(page.get("uri"))
                found += cited(NAME, page.get("uri"), page.get("title"), choice=self.index)
        return found

    def finish(self, word: str, outer: Fields, events: list[AnyEvent]) -> None:
        """The candidate ends, with a reason in Gemini's words."""
        self.finished = True
        reason = read_reason(word, called=self._called)
        if write_reason(reason) != word:
            outer = {**outer, "candidate": {**outer.get("candidate", {}), "finishReason": word}}
        events.append(Finish(reason=reason, choice=self.index, extra=self._shared(outer)))

    def _part(self, part: Fields, beside: Fields, logprobs: Any, events: list[AnyEvent]) -> None:
        text, call = part.get("text"), part.get("functionCall")
        if isinstance(text, str) and call is None:
            unknown = {key: part[key] for key in part if key not in _TEXT_KNOWN}
            extra = {**beside, "part": unknown} if unknown else beside
            if part.get("thought"):
                self._thought(text, part.get("thoughtSignature"), extra, events)
            else:
                self._text(text, part.get("thoughtSignature"), logprobs, extra, events)
        elif isinstance(call, dict):
            self._sign(part.get("thoughtSignature"), events)
            self._call(call, part, beside, events)
        elif part:
            # Code, its result, files: nothing that another dialect would show in these words.
            events.append(
                Item(
                    kind=NAME,
                    value=part,
                    choice=self.index,
                    block=self._block(None),
                    extra=self._shared(beside),
                )
            )

    def _thought(self, text: str, signature: Any, extra: Fields, events: list[AnyEvent]) -> None:
        if not text and signature is None and "part" not in extra:
            return
        signed = untag(signature) if isinstance(signature, str) else None
        events.append(
            Thinking(
                text=text,
                choice=self.index,
                block=self._block(Thinking),
                signature=signed.signature if signed else None,
                redacted=signed.redacted if signed else None,
                origin=signed.origin if signed else None,
                extra=self._shared(extra),
            )
        )
        if signed:
            self._open = None  # what is signed is complete

    def _text(self, text: str, signature: Any, logprobs: Any, extra: Fields, events: list[AnyEvent]) -> None:
        if not text and signature is not None:
            self._sign(signature, events, {**extra, "alone": True})
            return
        self._sign(signature, events)
        if not text and "part" not in extra:
            return
        if logprobs is not None:
            extra = {**extra, "candidate": {**extra.get("candidate", {}), "logprobsResult": logprobs}}
        events.append(
            Text(
                text=text,
                choice=self.index,
                block=self._block(Text),
                logprobs=read_logprobs(logprobs),
                extra=self._shared(extra),
            )
        )

    def _call(self, call: Fields, part: Fields, beside: Fields, events: list[AnyEvent]) -> None:
        extra = dict(beside)
        if unknown := {key: part[key] for key in part if key not in _PART_KNOWN}:
            extra["part"] = unknown
        if unknown := {key: call[key] for key in call if key not in _CALL_KNOWN}:
            extra["call"] = unknown
        self._called = True
        events.append(
            Tool(
                arguments=text_of_object(call.get("args") or {}),
                choice=self.index,
                block=self._block(None),
                call_id=str(call["id"]) if call.get("id") else None,
                name=str(call.get("name") or ""),
                extra=self._shared(extra),
            )
        )

    def _sign(self, signature: Any, events: list[AnyEvent], extra: Fields | None = None) -> None:
        """The signature of a part that is no thought: a block of its own before that part."""
        if isinstance(signature, str):
            events.append(
                Thinking(
                    text="",
                    choice=self.index,
                    block=self._block(None),
                    signature=signature,
                    origin=NAME,
                    extra=self._shared(extra or {}),
                )
            )

    def _block(self, kind: type[Text] | type[Thinking] | None) -> int:
        """The number of the open block, a new one when it holds something else; None never goes on."""
        if kind is None or kind is not self._open:
            self._open = kind
            self._next_block += 1
        return self._next_block - 1
