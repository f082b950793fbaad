"""What an agent works with: models to ask, ways to show what it does, and steps that outlive a crash."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final, Protocol, TypeVar

import msgspec

from tidegate.agents.account import Account
from tidegate.agents.ahead import Ahead, Pieces
from tidegate.agents.asking import Asking, Call
from tidegate.agents.files import FILE, Files, SavedFile
from tidegate.agents.inputs import Inputs
from tidegate.agents.mcp import McpServers
from tidegate.agents.questions import InputExpired, Kind
from tidegate.agents.steps import Scope, Step, Steps, Work, scope
from tidegate.agents.structured import ask_for, schema_of
from tidegate.agents.tool import AgentTool
from tidegate.agents.tool_loop import Limits, Run, ToolLoop
from tidegate.agents.writing import Writing
from tidegate.core.event import AnyEvent, Finish, Item, Text, Thinking, Tool, status_extra
from tidegate.core.inner import Inner
from tidegate.core.request import Header
from tidegate.core.usage import Usage

Form = TypeVar("Form")

Asked = str | Sequence[Mapping[str, Any]]
"""A question, or a conversation as OpenAI Chat writes messages."""

_AT_ONCE: Final = 3
"""Texts that are written at a time where nobody said how many."""


class Searchable(Protocol):
    """What can be searched on behalf of a caller."""

    async def tools(self, header: Header, slugs: Sequence[str]) -> list[AgentTool]:
        """A tool that searches for each of the caller's workspaces. Raises AgentError."""
        ...


class Context:
    """One run of an agent. ``again`` tells that it was begun before, by a process that died."""

    def __init__(
        self,
        header: Header,
        inner: Inner,
        writing: Writing,
        account: Account,
        steps: Steps,
        inputs: Inputs,
        files: Files,
        mcp: McpServers,
        workspaces: Searchable,
        *,
        model: str | None = None,
        again: bool = False,
    ) -> None:
        self.stream = header.id
        """The id of the stream that is being written."""
        self.caller = header.caller
        self.again = again
        self.reason = "stop"
        """Why the answer ends, in OpenAI Chat's words."""
        self._header = header
        self._inner = inner
        self._writing = writing
        self._account = account
        self._steps = steps
        self._inputs = inputs
        self._files = files
        self._mcp = mcp
        self._workspaces = workspaces
        self._model = model
        self._outside = Scope("")
        self._ahead: list[Ahead] = []
        self._names: set[str] = set()

    # ---- showing ----

    def write(self, text: str) -> None:
        """More of the answer, at once; the same as yielding it."""
        self._writing.text(text)

    def think(self, text: str) -> None:
        """More of what goes on beside the answer: shown as thinking, never mixed into the text."""
        self._writing.thinking(text)

    def status(self, text: str, **facts: Any) -> None:
        """A line about what is going on; ``facts`` are for programs, ``step=3, of=7`` for a progress bar."""
        self._writing.thinking(f"{text}\n", status_extra({"text": text, **facts}))

    async def file(self, name: str, data: bytes | str, media_type: str | None = None) -> SavedFile:
        """Save what was made, and tell where: at ``GET /download/…``, for the caller of this run alone.

        The name is made safe for every system. The media type is that of its ending where none is given. A
        run that is begun again does not save it again. Raises BodyTooLarge when the caller has no room left,
        TidegateError for the disk.
        """
        step = f"file {(scope.get() or self._outside).next_name()}"
        saved = await self.step(step, lambda: self._files.save(step, name, data, media_type))
        self._writing.item(FILE, saved)
        self.status(f"Saved {saved['name']}: {saved['url']}", file=saved["url"])
        return msgspec.convert(saved, SavedFile)

    def item(self, kind: str, value: Mapping[str, Any]) -> None:
        """Something beside the text, once: a citation, say. Each dialect tells it as it can."""
        self._writing.item(kind, value)

    async def show(self, asking: Asking) -> AsyncGenerator[str, None]:
        """Show all that a model says: thinking, and calls of the caller's tools, as well as text.

        Yield what it yields: it is empty, and lets a slow reader hold the answer up.
        """
        self._writing.begin_part()
        async with aclosing(asking.events()) as events:
            async for event in events:
                if type(event) is Text:
                    self._writing.text(event.text)
                elif type(event) is Thinking:
                    self._writing.thinking(event.text, event.extra)
                elif type(event) is Tool:
                    self._writing.tool(event)
                elif type(event) is Finish:
                    self.reason = event.reason
                yield ""

    # ---- asking ----

    @property
    def model(self) -> str:
        """The model that is asked where none is named. Raises NotFound, Forbidden."""
        return self._inner.model(self._header, self._model)

    def ask(self, model: str | None, prompt: Asked, **fields: Any) -> Asking:
        """Ask a model; ``None`` is :attr:`model`.

        ``fields`` go into the body of an OpenAI Chat request: ``temperature=0``, ``max_tokens=500``,
        ``tools``. What is iterated over or awaited raises TidegateError when no answer can be had.
        """
        own = scope.get() or self._outside
        name = own.next_name()
        messages = _messages(prompt)

        def begin() -> AsyncGenerator[AnyEvent, None]:
            body = {"model": model or self.model, "messages": messages, "stream": True, **fields}
            return self._inner.ask(self._header, name, body, again=self.again)

        def count(usage: Usage) -> None:
            own.usage = usage if own.usage is None else own.usage.plus(usage)
            self._account.add_inner(usage)

        return Asking(begin, begins=self._writing.begin_part, counts=count, tells=self._pass_on)

    async def ask_for(self, form: type[Form], model: str | None, prompt: Asked, **fields: Any) -> Form:
        """Ask for a value of a type: a msgspec Struct, a dataclass, ``list[str]`` and the like.

        The model is told the JSON schema; what it answers is checked against the type, and it is asked once
        more where that fails. Raises AgentError when it still does not fit.
        """
        return await ask_for(self.ask, form, model, prompt, fields)

    def ahead(self, texts: Sequence[Pieces], at_once: int = _AT_ONCE) -> Ahead:
        """Write several texts at once and show them in their order::

        async for text in context.ahead([context.ask(None, each) for each in questions]):
            async for piece in text:
                yield piece
        """
        ahead = Ahead(texts, at_once, self._writing.begin_part)
        self._ahead.append(ahead)
        return ahead

    async def input(
        self,
        question: str,
        *,
        kind: Kind = "text",
        schema: type[Any] | Mapping[str, Any] | None = None,
        timeout: float | None = None,
        about: Mapping[str, Any] | None = None,
    ) -> Any:
        """Ask the person behind the stream, and wait for what comes to ``POST /v1/streams/{id}/input``.

        A text, or whether an ``approval`` was given. With a ``schema``, a JSON schema or a type as in
        :meth:`ask_for`, it is a value that fits. ``about`` is for programs that show the question. While a
        person is waited for, ``timeout`` seconds or else a day, no other deadline of the run goes on. Raises
        InputExpired when nobody answered in time.
        """
        name = (scope.get() or self._outside).next_name()
        form = schema if isinstance(schema, Mapping) or schema is None else schema_of(schema)
        value = await self._inputs.ask(
            name, question, self.status, kind=kind, schema=form, timeout=timeout, about=about
        )
        return value if form is schema else msgspec.convert(value, schema)

    @property
    def usage(self) -> Usage:
        """What this run has spent so far."""
        return self._account.usage

    def count(self, usage: Usage) -> None:
        """Count what was spent otherwise than by asking here: by a program of one's own, say.

        Where the settings say ``asks_here`` of the agent, that program asks this gateway, which counts it.
        """
        self._account.add(usage)

    # ---- steps ----

    def step(self, name: str, work: Work) -> Step:
        """Do what is done once, also when the gateway is killed meanwhile and the agent is run again.

        ``work`` gives something to await or asynchronous text, such as ``lambda: context.ask(…)``; its JSON
        value or its text is kept under ``name``, which is unique within a run::

            outline = await context.step("outline", lambda: context.ask(None, question))

        Raises ValueError for a name that this run has used.
        """
        if name in self._names:
            raise ValueError(f"there are two steps {name!r} in this run; give each a name of its own")
        self._names.add(name)
        return Step(name, work, self._steps, begins=self._writing.begin_part, counts=self._account.add_inner)

    def is_done(self, step: str) -> bool:
        """Whether a step of this name has ended, in this run or before a crash."""
        return self._steps.get(step) is not None

    # ---- tools ----

    def run_tools(
        self,
        model: str | None,
        prompt: Asked,
        tools: Sequence[AgentTool],
        *,
        name: str = "tools",
        max_steps: int = 10,
        max_tokens: int | None = None,
        timeout: float | None = None,
        **fields: Any,
    ) -> AsyncIterator[str]:
        """Have a model answer that may call tools; yields what it says.

        Each call is a step, so none that has ended is made again after a crash; of one that had begun the
        model is told that nobody knows, unless the tool is repeatable. At a limit (turns with calls, tokens
        of all questions, seconds) the model is asked once more, and must answer without tools. ``name`` is
        unique within a run, ``fields`` go into every question.
        """
        run = Run(self.ask, self.step, self.is_done, self.status, self._approve)
        limits = Limits(max_steps, max_tokens, timeout)
        return ToolLoop(run, name, model, tools, limits, fields).run(_messages(prompt))

    async def tool(self, tool: AgentTool, **arguments: Any) -> str:
        """Call a tool oneself, as a step, and show that; what it returns, or an error's words, as text."""
        name = f"tool {(scope.get() or self._outside).next_name()}"
        run = Run(self.ask, self.step, self.is_done, self.status, self._approve)
        loop = ToolLoop(run, name, None, [tool], Limits(1, None, None), {})
        return await loop.call(Call(name, tool.name, msgspec.json.encode(arguments).decode()))

    async def mcp(self, *servers: str) -> list[AgentTool]:
        """The tools of MCP servers, by the names that the settings give these. Raises AgentError."""
        return await self._mcp.tools(servers)

    async def workspaces(self, *slugs: str) -> list[AgentTool]:
        """Tools that search the caller's workspaces. Raises AgentError for one that is not there."""
        return await self._workspaces.tools(self._header, slugs) if slugs else []

    def _pass_on(self, item: Item) -> None:
        """What an agent that was asked tells of itself, and of those that it asked."""
        if item.kind == FILE:
            self._writing.item(FILE, item.value)
        else:
            self._inputs.pass_on(item, self.status)

    async def _approve(self, question: str, about: Mapping[str, Any]) -> bool:
        try:
            return await self.input(question, kind="approval", about=about) is True
        except InputExpired:
            return False

    async def close(self) -> None:
        """Stop what still goes on beside the agent, which has ended."""
        self._inputs.close()
        for ahead in self._ahead:
            await ahead.close()


def _messages(prompt: Asked) -> list[Mapping[str, Any]]:
    return [{"role": "user", "content": prompt}] if isinstance(prompt, str) else list(prompt)
