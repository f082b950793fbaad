"""An agent as a source: a run of it is a generation like any other."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any, Final, Literal

import msgspec

from tidegate.agents.account import Account
from tidegate.agents.agent import Agent
from tidegate.agents.context import Context, Searchable
from tidegate.agents.files import Files
from tidegate.agents.inputs import Inputs
from tidegate.agents.mcp import McpServers
from tidegate.agents.questions import Questions
from tidegate.agents.request import AgentRequest
from tidegate.agents.steps import Steps, StepStore
from tidegate.agents.writing import Writing
from tidegate.core.clock import Clock
from tidegate.core.event import End, Finish, Start
from tidegate.core.inner import Inner
from tidegate.core.request import Request
from tidegate.core.source import Output
from tidegate.errors import Broken, TidegateError, Unsupported
from tidegate.store.files import FileStore

_AT_ONCE: Final = 32
"""Pieces of one agent before others have their turn."""

logger = logging.getLogger("tidegate")


class Surroundings(msgspec.Struct, frozen=True):
    """What all agents of a gateway share. ``steps`` is None where nothing outlives the process."""

    inner: Inner
    steps: StepStore | None
    questions: Questions
    files: FileStore
    clock: Clock
    mcp: McpServers
    workspaces: Searchable


class AgentSource:
    """Runs an agent. ``options`` are those of the model that it answers for."""

    repeatable: Literal[True] = True

    def __init__(self, agent: Agent, surroundings: Surroundings | None, options: Mapping[str, Any]) -> None:
        self._agent = agent
        self._surroundings = surroundings
        """Missing where it is only looked at whether the routes can be made."""
        self._options = options

    async def run(self, request: Request, out: Output) -> None:
        """See :class:`tidegate.core.source.Source`. Raises Broken for a defect of the agent."""
        if request.choices != 1:
            raise Unsupported("an agent gives one answer; leave 'n' out", param="n", retryable=False)
        asked = AgentRequest(request, self._options)
        context = await self._context(request, asked, out)
        out.emit(Start(usage=context.usage))
        pieces_left = _AT_ONCE
        try:
            async with aclosing(self._agent(asked, context)) as pieces:  # type: ignore[type-var]
                async for piece in pieces:
                    context.write(piece)
                    await out.ready()
                    pieces_left -= 1
                    if not pieces_left:  # it may never wait, and others are to have their turn
                        pieces_left = _AT_ONCE
                        await asyncio.sleep(0)
        except TidegateError:
            raise
        except (Exception, SystemExit) as error:  # an exit would end the gateway with all its streams
            logger.exception("the agent %s failed", self._agent.name)
            raise Broken(
                f"the agent {self._agent.name!r} failed with {type(error).__name__}; "
                "the log of the gateway says more",
                retryable=False,
                type="agent_error",
            ) from error
        finally:
            await context.close()
        out.emit_all([Finish(reason=context.reason), End(outcome="completed", usage=context.usage)])

    async def _context(self, request: Request, asked: AgentRequest, out: Output) -> Context:
        header, surroundings = out.header, self._surroundings
        assert surroundings is not None
        again = request.shown is not None
        steps = Steps(header.id, surroundings.steps if header.keep else None)
        if again:
            await steps.recall()
        shown = request.shown or ()
        writing = Writing(out, shown)
        inputs = Inputs(
            header.id, surroundings.questions, steps, writing, out.unhurried, surroundings.clock.now_ms
        )
        inputs.recall(shown)
        model = asked.option("agent_model")
        return Context(
            header,
            surroundings.inner,
            writing,
            Account(out.count, asks_here=bool(asked.setting("asks_here"))),
            steps,
            inputs,
            Files(surroundings.files, header.id, header.caller, surroundings.clock.now_ms),
            surroundings.mcp,
            surroundings.workspaces,
            model=model if isinstance(model, str) else None,
            again=again,
        )
