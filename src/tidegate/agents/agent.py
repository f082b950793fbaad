"""What an agent is: a name, an asynchronous generator of text, and how long its runs may take."""

from __future__ import annotations

import inspect
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tidegate.core.request import OnDisconnect
from tidegate.errors import ConfigError, SourceError

if TYPE_CHECKING:
    from tidegate.agents.context import Context
    from tidegate.agents.request import AgentRequest

Function = Callable[["AgentRequest", "Context"], AsyncIterator[str]]
"""Yields the text of the answer, piece by piece; what else it has to say goes through the context."""

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}", re.ASCII)
_HOURS: Final = 2.0


class AgentError(SourceError):
    """What an agent raises to end its answer with a message for whoever asked."""

    def __init__(self, message: str, *, status: int = 502, code: str | None = None) -> None:
        super().__init__(message, retryable=False, status=status, type="agent_error", code=code)


@dataclass(frozen=True)
class Agent:
    """An agent as it was declared. ``timeout`` is seconds for a whole run."""

    name: str
    function: Function
    description: str = ""
    on_disconnect: OnDisconnect = "detach"
    timeout: float = _HOURS * 3600

    def __call__(self, request: AgentRequest, context: Context) -> AsyncIterator[str]:
        """Run it, as its function does."""
        return self.function(request, context)


def agent(
    name: str,
    *,
    description: str | None = None,
    on_disconnect: OnDisconnect = "detach",
    timeout: float = _HOURS * 3600,
) -> Callable[[Function], Agent]:
    """Declare an asynchronous generator function as the agent that answers for the model ``name``.

    ``description`` is the first line of its docstring where it is None; ``on_disconnect`` is what becomes of
    a run whose last reader has left. Raises ConfigError for what cannot be an agent.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(f"@agent({name!r}): a name is letters, digits and any of . _ : - in between")

    def declare(function: Function) -> Agent:
        if not inspect.isasyncgenfunction(function):
            raise ConfigError(
                f"@agent({name!r}): write it as `async def {getattr(function, '__name__', 'function')}"
                "(request, context)` with a `yield` for each piece of text"
            )
        told = description if description is not None else (inspect.getdoc(function) or "").split("\n")[0]
        return Agent(name, function, told, on_disconnect, timeout)

    return declare


__all__ = ["Agent", "AgentError", "Function", "agent"]
