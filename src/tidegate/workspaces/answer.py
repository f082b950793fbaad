"""From a question to what a model is asked: documents, passages, and what was said before.

The order and the rules are AnythingLLM's (docs/how-to/workspaces.md): a question in the mode ``query`` is
answered from documents or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from tidegate.store.chats import Chat, ChatStore
from tidegate.store.documents import Document, DocumentStore
from tidegate.store.placements import PlacementStore
from tidegate.store.workspaces import Thread, Workspace
from tidegate.workspaces.budget import ChatTurn, fit, shorten
from tidegate.workspaces.document import Hit, Parse
from tidegate.workspaces.prompting import expand, passage_context, with_contexts
from tidegate.workspaces.question import Attached, Mode, Question
from tidegate.workspaces.service import Knowledge
from tidegate.workspaces.settings import DEFAULT_PROMPT, DEFAULT_REFUSAL, Settings, read_settings

_WINDOW: Final = 100_000
"""Tokens that a model may look at whose window nobody tells."""

_PINNED_SHARE: Final = 0.5
_SHOWN_OF_PINNED: Final = 1000
_CONTINUED: Final = "...continued on in source document..."


class Asked(Struct, frozen=True):
    """What is to be asked of a model; or not, where ``refusal`` is what is said instead."""

    messages: tuple[Mapping[str, Any], ...] = ()
    sources: tuple[Mapping[str, Any], ...] = ()
    refusal: str | None = None


class Answers:
    """Prepares answers from the documents of workspaces."""

    def __init__(
        self,
        chats: ChatStore,
        documents: DocumentStore,
        placements: PlacementStore,
        knowledge: Knowledge,
        parse: Parse,
        now_ms: Callable[[], int],
    ) -> None:
        self._chats = chats
        self._documents = documents
        self._placements = placements
        self._knowledge = knowledge
        self._parse = parse
        self._now_ms = now_ms

    async def prepare(
        self, workspace: Workspace, thread: Thread | None, question: Question, window: int | None
    ) -> Asked:
        """Look up what belongs to a question. ``window`` is of the model that will answer, in tokens.

        Raises StoreError, and TidegateError for an attachment that cannot be read.
        """
        settings = read_settings(workspace.settings)
        mode: Mode = question.mode or settings.chat_mode
        refusal = settings.query_refusal_response or DEFAULT_REFUSAL
        if mode == "query" and not await self._knowledge.passages(workspace.id):
            return Asked(refusal=refusal)
        window = window or _WINDOW
        turns, remembered = await self._history(workspace, thread, question, settings)
        pinned = await self._pinned(workspace, int(window * _PINNED_SHARE))
        attached = [await self._read(each) for each in question.attached]
        found = await self._found(workspace, question.text, settings, {each["id"] for each in pinned})
        backfill = await self._backfill(workspace, remembered, [*found, *pinned], settings.top_n - len(found))
        if backfill and mode == "query" and not found:
            goes_on = await self._knowledge.may_go_on(workspace.id, question.text)
            backfill = backfill if goes_on else []
        contexts = [
            *(str(each["text"]) for each in pinned),
            *attached,
            *(passage_context(each) for each in (*found, *backfill)),
        ]
        if mode == "query" and not contexts:
            return Asked(refusal=refusal)
        names = {"workspace.name": workspace.name, "workspace.id": str(workspace.id)}
        prompt = expand(question.system or settings.open_ai_prompt or DEFAULT_PROMPT, self._now_ms(), names)
        most = question.fields.get("max_tokens")
        prompt, kept, turns, text = fit(
            prompt, contexts, turns, question.text, window, most if isinstance(most, int) else None
        )
        messages = (
            {"role": "system", "content": with_contexts(prompt, kept)},
            *(message for turn in turns for message in turn),
            question.message if text == question.text else {"role": "user", "content": text},
        )
        sources = [*(_shown_pinned(each) for each in pinned), *found]
        return Asked(messages, tuple(sources) if question.sources else ())

    async def find(self, workspace: Workspace, query: str, top: int) -> list[Mapping[str, Any]]:
        """The best passages for a query, as sources, for a tool that searches."""
        settings = read_settings(workspace.settings)
        hits = await self._knowledge.search(workspace, query, top, settings.similarity_threshold)
        return await self._sources(hits)

    async def _history(
        self, workspace: Workspace, thread: Thread | None, question: Question, settings: Settings
    ) -> tuple[list[ChatTurn], Sequence[Chat]]:
        if question.history is not None:
            return [[message] for message in question.history], ()
        chats = await self._chats.history(
            workspace.id,
            thread=thread.id if thread is not None else None,
            session=question.session,
            embed=question.embed,
            user_id=question.user,
            limit=settings.open_ai_history if question.messages is None else question.messages,
        )
        turns: list[ChatTurn] = [
            [
                {"role": "user", "content": chat.prompt},
                {"role": "assistant", "content": str(chat.response.get("text") or "")},
            ]
            for chat in chats
        ]
        return turns, chats

    async def _pinned(self, workspace: Workspace, room: int) -> list[dict[str, Any]]:
        """The whole text of pinned documents, as much as there is room for."""
        found = []
        for placement, document in await self._placements.of(workspace.id):
            if not placement.pinned or room <= 0:
                continue
            pages = await self._documents.pages(document.id)
            text = shorten("\n\n".join(page for _, page in pages), room)
            room -= min(document.tokens, room)
            found.append({"id": document.id, "docId": document.id, **document.facts, "text": text})
        return found

    async def _read(self, attached: Attached) -> str:
        parsed = await self._parse(attached.data, attached.name)
        return passage_context({"title": parsed.title or attached.name, "text": parsed.text})

    async def _found(
        self, workspace: Workspace, text: str, settings: Settings, without: set[str]
    ) -> list[Mapping[str, Any]]:
        hits = await self._knowledge.search(
            workspace, text, settings.top_n, settings.similarity_threshold, frozenset(without)
        )
        return await self._sources(hits)

    async def _backfill(
        self,
        workspace: Workspace,
        chats: Sequence[Chat],
        have: Sequence[Mapping[str, Any]],
        room: int,
    ) -> list[Mapping[str, Any]]:
        """Passages that earlier answers were from, the newest first, for as many as too few were found.

        What has been deleted since, or read anew, is told no more.
        """
        earlier = _earlier(chats, {str(each["id"]) for each in have}) if room > 0 else {}
        if not earlier:
            return []
        there = await self._knowledge.there(workspace.id, [int(each) for each in earlier])
        return [source for name, source in earlier.items() if int(name) in there][:room]

    async def _sources(self, hits: Sequence[Hit]) -> list[Mapping[str, Any]]:
        known: dict[str, Document | None] = {}
        found: list[Mapping[str, Any]] = []
        for hit in hits:
            if hit.document not in known:
                known[hit.document] = await self._documents.by_id(hit.document)
            document = known[hit.document]
            if document is not None:
                found.append(source_of(hit, document))
        return found


def source_of(hit: Hit, document: Document) -> dict[str, Any]:
    """A passage as AnythingLLM tells a source, with its page and headings beside."""
    return {
        "id": f"{hit.passage}",
        "docId": document.id,
        **document.facts,
        "wordCount": document.words,
        "token_count_estimate": document.tokens,
        "text": hit.text,
        "score": round(hit.score, 6),
        "_distance": round(1 - hit.score, 6),
        **({"page": hit.page} if hit.page is not None else {}),
        **({"heading": hit.heading} if hit.heading else {}),
    }


def _shown_pinned(source: Mapping[str, Any]) -> dict[str, Any]:
    text = str(source["text"])
    return {**source, "text": f"{text[:_SHOWN_OF_PINNED]}{_CONTINUED}"}


def _earlier(chats: Sequence[Chat], have: Collection[str]) -> dict[str, Mapping[str, Any]]:
    """The passages that earlier answers were from, by their ids, those of the newest first."""
    sources = (source for chat in reversed(chats) for source in chat.response.get("sources") or ())
    passages = (source for source in sources if "score" in source and source.get("text"))
    earlier: dict[str, Mapping[str, Any]] = {}
    for source in passages:
        name = str(source.get("id"))
        if name.isdecimal() and name not in have:
            earlier.setdefault(name, source)
    return earlier
