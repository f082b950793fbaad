"""A workspace as a source: its answers are generations like any other, with a model's within them.

It runs as an agent does, so that it outlives a killed process and what it spends is counted once. What was
looked up for a question is a step: after a crash the model is asked the very same.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, Literal

import msgspec

from tidegate.agents.agent import Agent
from tidegate.agents.context import Context
from tidegate.agents.request import AgentRequest
from tidegate.core.clock import Clock
from tidegate.core.inner import Inner
from tidegate.core.request import Header, Request
from tidegate.core.source import Output
from tidegate.dialects.translation.citations import CITATION
from tidegate.errors import Forbidden, NotFound, TidegateError
from tidegate.sources.agent import AgentSource, Surroundings
from tidegate.sources.workspace_place import ANYTHINGLLM, Found, Place
from tidegate.sources.workspace_question import question_of, visited
from tidegate.sources.workspace_tools import Source, search_tool
from tidegate.store.chats import ChatStore, NewChat
from tidegate.workspaces.answer import Answers, Asked
from tidegate.workspaces.prompting import RESET
from tidegate.workspaces.question import AGENT, Question
from tidegate.workspaces.settings import read_settings

_CALLS_TOOLS: Final = ("supports_tools", "supports_function_calling", "supports_tool_calling")
_NOT_FOR_VISITORS: Final = ("agent", "workspace")
"""Types of models that act or know for the owner."""

_CITED: Final = 500
"""Characters of a passage that a citation shows."""


@dataclass(frozen=True)
class Shared:
    """What answers from workspaces need. ``model`` is asked where a workspace names none."""

    chats: ChatStore
    answers: Answers
    inner: Inner
    clock: Clock
    model: str | None = None


class WorkspaceSource:
    """Answers for ``workspace/<slug>``, ``workspace/<slug>/<thread>`` and ``embed/<uuid>``."""

    repeatable: Literal[True] = True

    def __init__(self, place: Place, surroundings: Surroundings, shared: Shared) -> None:
        self._place = place
        self._surroundings = surroundings
        self._shared = shared

    async def run(self, request: Request, out: Output) -> None:
        """See :class:`tidegate.core.source.Source`. Raises NotFound for what is not the caller's."""
        found = await self._place.find(request, out.header)
        answering = _Answering(found, request, out.header, self._shared)
        agent = Agent(found.workspace.slug, answering.run)
        await AgentSource(agent, self._surroundings, {}).run(request, out)


class _Answering:
    """One answer."""

    def __init__(self, found: Found, request: Request, header: Header, shared: Shared) -> None:
        self._workspace = found.workspace
        self._thread = found.thread
        self._embed = found.embed
        self._request = request
        self._header = header
        self._shared = shared
        self._settings = read_settings(found.workspace.settings)
        self._said: list[str] = []
        self._kept = False
        self._sources: tuple[Source, ...] = ()
        self._searches = 0

    async def run(self, request: AgentRequest, context: Context) -> AsyncIterator[str]:
        """The answer, as an agent gives it."""
        question = question_of(self._request, request, in_thread=self._thread is not None)
        if self._embed is not None:
            question = visited(question, request, self._embed)
        if question.reset:
            await context.step("reset", lambda: self._forget(question))
            if not question.text.strip():
                context.item(ANYTHINGLLM, {"type": "textResponse", "sources": [], "metrics": {}})
                yield RESET
                return
        try:
            async for piece in self._answer(question, context):
                yield piece
        except TidegateError:
            if self._embed is not None and not self._said:  # who was not answered has not had a chat
                self._shared.chats.release(self._header.id)
            raise
        finally:
            if self._said and not self._kept and self._header.keep:
                # Who left may want to read what came, and go on from it.
                chat = self._chat(question, {}, include=question.history is None)
                self._shared.chats.post(chat)

    async def _answer(self, question: Question, context: Context) -> AsyncIterator[str]:
        settings = self._settings
        model = self._model(self._chosen(question.model), (settings.chat_provider, settings.chat_model))
        if question.for_agent or self._is_automatic(question, model):
            async for piece in self._with_tools(question, context):
                yield piece
            return
        asked = await self._asked(question, context, model)
        if asked.refusal is not None:
            self._said = [asked.refusal]
            chat = await self._keep(question, context, {}, include=False)
            value: dict[str, Any] = {"type": "textResponse", "chatId": chat, "sources": [], "metrics": {}}
            context.item(ANYTHINGLLM, value)
            yield asked.refusal
            return
        self._sources = asked.sources
        began = self._shared.clock.now_ms()
        asking = context.ask(model, asked.messages, **self._fields(question))
        async for piece in context.show(asking):
            yield piece
            self._said = [asking.text]
        async for piece in self._close(question, context, model, began):
            yield piece

    def _is_automatic(self, question: Question, model: str) -> bool:
        """Whether a model that can call tools may search as often as it wants, without being told to."""
        mode = question.mode or self._settings.chat_mode
        if mode != "automatic" or question.history is not None or question.embed is not None:
            return False
        told = self._shared.inner.facts(self._header, model).get("capabilities")
        return isinstance(told, Mapping) and any(told.get(name) for name in _CALLS_TOOLS)

    def _model(self, asked: str | None, of_workspace: tuple[str | None, str | None]) -> str:
        """The public name of the model that answers: one that is asked for, else the workspace's.

        A workspace names it by itself, or has its provider beside it. Raises NotFound, Forbidden.
        """
        inner, (provider, named) = self._shared.inner, of_workspace
        try:
            return inner.model(self._header, asked or named or self._shared.model)
        except NotFound:
            if named and provider and not asked:
                with suppress(NotFound):
                    return inner.model(self._header, f"{provider}/{named}")
            raise  # in the words of the name that was given

    def _chosen(self, named: str | None) -> str | None:
        """The model that a visitor names. Raises Forbidden for what may do more than answer."""
        if named is not None and self._embed is not None:
            kind = self._shared.inner.facts(self._header, named).get("type")
            if kind in _NOT_FOR_VISITORS:
                raise Forbidden(f"{named!r:.100} is no model that visitors may choose", param="model")
        return named

    def _fields(self, question: Question) -> dict[str, Any]:
        """What is said to the model beside the conversation: the request's word before the workspace's."""
        temperature = self._settings.open_ai_temp
        return {**({} if temperature is None else {"temperature": temperature}), **question.fields}

    async def _asked(self, question: Question, context: Context, model: str) -> Asked:
        length = self._shared.inner.facts(self._header, model).get("context_length")
        window = length if isinstance(length, int) and length > 0 else None

        async def prepare() -> Any:
            asked = await self._shared.answers.prepare(self._workspace, self._thread, question, window)
            return msgspec.to_builtins(asked)

        return msgspec.convert(await context.step("asked", prepare), Asked)

    async def _with_tools(self, question: Question, context: Context) -> AsyncIterator[str]:
        """Let an agent answer that may search the workspace as often as it wants."""
        settings = self._settings
        of_agent = (settings.agent_provider, settings.agent_model)
        of_chat = (settings.chat_provider, settings.chat_model)
        model = self._model(question.model, of_agent if settings.agent_model else of_chat)
        text = question.text.lstrip().removeprefix(AGENT).strip()
        searching = msgspec.structs.replace(question, text=text, message={"role": "user", "content": text})
        asked = await self._asked(msgspec.structs.replace(searching, mode="chat"), context, model)
        self._sources = asked.sources
        began = self._shared.clock.now_ms()
        await self._recall(context)
        search = search_tool(self._shared.answers, self._workspace, partial(self._found, context))
        async for piece in context.run_tools(model, asked.messages, [search], **self._fields(question)):
            self._said.append(piece)
            yield piece
        async for piece in self._close(question, context, model, began):
            yield piece

    async def _found(self, context: Context, sources: Sequence[Source]) -> None:
        """Note what a search found, for the end of the answer: also when another process comes to it."""
        self._searches += 1
        name = f"found-{self._searches}"
        self._add(await context.step(name, partial(_same, list(sources))))

    async def _recall(self, context: Context) -> None:
        """Know again what was found before a crash."""
        while context.is_done(name := f"found-{self._searches + 1}"):
            self._searches += 1
            self._add(await context.step(name, partial(_same, [])))

    def _add(self, sources: Sequence[Source]) -> None:
        known = {source.get("id") for source in self._sources}
        self._sources += tuple(source for source in sources if source.get("id") not in known)

    async def _close(
        self, question: Question, context: Context, model: str, began: int
    ) -> AsyncIterator[str]:
        """Note the chat, and tell what the answer is from."""
        metrics = await context.step("metrics", lambda: self._metrics(context, model, began))
        # Who brings the conversation along remembers it: what the workspace remembers is for the others.
        chat = await self._keep(question, context, metrics, include=question.history is None)
        length = sum(map(len, self._said))
        # Visitors get an answer, and not the owner's documents; AnythingLLM tells them no sources either.
        shown = self._sources if self._embed is None else ()
        for number, source in enumerate(shown):
            context.item(CITATION, _citation(number, source, length))
        context.item(ANYTHINGLLM, {"chatId": chat, "metrics": metrics, "sources": list(shown)})
        yield ""

    async def _metrics(self, context: Context, model: str, began: int) -> dict[str, Any]:
        now, usage = self._shared.clock.now_ms(), context.usage
        seconds = max(now - began, 1) / 1000
        return {
            "prompt_tokens": usage.input_tokens,
            "completion_tokens": usage.output_tokens,
            "total_tokens": usage.input_tokens + usage.output_tokens,
            "outputTps": round(usage.output_tokens / seconds, 3),
            "duration": round(seconds, 3),
            "model": model,
            "provider": "Tidegate",
            "timestamp": datetime.fromtimestamp(now / 1000, UTC).isoformat(timespec="milliseconds"),
        }

    async def _keep(
        self, question: Question, context: Context, metrics: Mapping[str, Any], *, include: bool = True
    ) -> int | None:
        """Keep the chat, once; its number, where the caller has it kept at all."""
        if not self._header.keep:
            return None
        chat = self._chat(question, metrics, include=include)
        number: int | None = await context.step("chat", lambda: self._shared.chats.add(chat))
        self._kept = True
        return number

    async def _forget(self, question: Question) -> bool:
        await self._shared.chats.forget(
            self._workspace.id,
            None if self._thread is None else self._thread.id,
            question.session,
            question.user,
        )
        return True

    def _chat(self, question: Question, metrics: Mapping[str, Any], *, include: bool = True) -> NewChat:
        return NewChat(
            workspace=self._workspace.id,
            prompt=question.text,
            response={
                "text": "".join(self._said),
                "sources": list(self._sources),
                "type": question.mode or self._settings.chat_mode,
                "attachments": list(question.shown_attachments),
                "metrics": dict(metrics),
            },
            thread=None if self._thread is None else self._thread.id,
            session=question.session,
            embed=question.embed,
            user_id=question.user,
            include=include,
            stream=self._header.id,
        )


async def _same(sources: list[Source]) -> list[Source]:
    return sources


def _citation(number: int, source: Mapping[str, Any], length: int) -> dict[str, Any]:
    """Where a passage stands, for any dialect: nobody knows which of the answer's words are from it."""
    return {
        "document": str(source.get("docId") or source.get("id") or ""),
        "number": number,
        "url": str(source.get("url") or ""),
        "title": str(source.get("title") or ""),
        "text": str(source.get("text") or "")[:_CITED],
        "start": 0,
        "end": length,
        **{name: source[name] for name in ("page", "heading") if source.get(name) is not None},
    }
