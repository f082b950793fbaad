"""Tools that agents hand to models: plain Python functions, described by their signatures."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Awaitable, Callable, Mapping
from copy import copy
from dataclasses import dataclass
from functools import partial
from json import dumps
from typing import Any, Final, get_type_hints, overload

import msgspec

from tidegate.agents.structured import schema_of
from tidegate.errors import ConfigError

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_SECONDS: Final = 60.0
_MOST_RESULT: Final = 20_000


class ToolError(Exception):
    """What a tool raises to tell the model why it did not do what it was asked."""


@dataclass(frozen=True)
class AgentTool:
    """Something that a model may have done. ``parameters`` is the JSON schema of its arguments.

    ``run`` is given arguments that are a JSON object. ``timeout`` is in seconds, ``most`` in characters of
    what it returns. With ``approval`` a person is asked before each call; ``repeatable`` tells that it may be
    done again where nobody knows whether it was done.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    run: Callable[[Mapping[str, Any]], Awaitable[Any]]
    approval: bool = False
    repeatable: bool = False
    timeout: float = _SECONDS
    most: int = _MOST_RESULT

    async def call(self, arguments: str) -> str:
        """What it returns, as text for the model; never more than ``most`` of it, and never an exception."""
        try:
            given = msgspec.json.decode(arguments or "{}", type=dict[str, Any])
            async with asyncio.timeout(self.timeout):
                result = await self.run(given)
            text = _as_text(result)
        except TimeoutError:
            return f"Error: {self.name} did not end within {self.timeout:g} s"
        except (ToolError, msgspec.DecodeError) as error:
            return f"Error: {error}"[: self.most]
        except (Exception, SystemExit) as error:  # the model may know another way
            return f"Error: {type(error).__name__}: {error}"[: self.most]
        if len(text) > self.most:
            return f"{text[: self.most]}\n[cut here: {len(text) - self.most} more characters]"
        return text

    def as_chat(self) -> dict[str, Any]:
        """The tool as a request to a model describes it."""
        function = {"name": self.name, "description": self.description, "parameters": self.parameters}
        return {"type": "function", "function": function}


@overload
def tool(function: Callable[..., Any], /) -> AgentTool: ...


@overload
def tool(
    *, name: str | None = None, approval: bool = False, repeatable: bool = False, timeout: float = _SECONDS
) -> Callable[[Callable[..., Any]], AgentTool]: ...


def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    approval: bool = False,
    repeatable: bool = False,
    timeout: float = _SECONDS,
) -> AgentTool | Callable[[Callable[..., Any]], AgentTool]:
    """Make a function a tool: its name, its docstring and the types of its parameters are told to the model.

    A function that is not asynchronous runs in a thread, and goes on there after its time is over. Raises
    ConfigError for a signature that JSON has no form for.
    """

    def make(function: Callable[..., Any]) -> AgentTool:
        called = name or function.__name__
        if not _NAME.fullmatch(called):
            raise ConfigError(f"@tool: {called!r} is no name that every model can call")
        form = _form(called, function)
        return AgentTool(
            called,
            inspect.getdoc(function) or called,
            schema_of(form),
            lambda arguments: _run(function, form, arguments),
            approval,
            repeatable,
            timeout,
        )

    return make if function is None else make(function)


def _form(name: str, function: Callable[..., Any]) -> type[msgspec.Struct]:
    """The parameters of a function as a type."""
    hints = get_type_hints(function, include_extras=True)
    fields: list[Any] = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise ConfigError(f"@tool {name}: parameters like {parameter} cannot be described to a model")
        kind = hints.get(parameter.name, Any)
        if parameter.default is parameter.empty:
            fields.append((parameter.name, kind))
        elif isinstance(parameter.default, (list, dict, set)):
            fields.append(
                (parameter.name, kind, msgspec.field(default_factory=partial(copy, parameter.default)))
            )
        else:
            fields.append((parameter.name, kind, parameter.default))
    try:
        form = msgspec.defstruct(name, fields, kw_only=True, forbid_unknown_fields=True)
        schema_of(form)
    except (TypeError, NotImplementedError) as error:
        raise ConfigError(f"@tool {name}: {error}") from None
    return form


async def _run(function: Callable[..., Any], form: type[msgspec.Struct], arguments: Mapping[str, Any]) -> Any:
    try:
        given = msgspec.convert(arguments, form, strict=False)
    except msgspec.ValidationError as error:
        raise ToolError(f"the arguments do not fit: {error}") from None
    values = {name: getattr(given, name) for name in form.__struct_fields__}
    if inspect.iscoroutinefunction(function):
        return await function(**values)
    return await asyncio.to_thread(function, **values)


def _as_text(result: Any) -> str:
    """A result as text that can be kept: half a character, which UTF-8 has no form for, is shown as one."""
    text = result if isinstance(result, str) else dumps(msgspec.to_builtins(result), ensure_ascii=False)
    return text.encode("utf-8", "replace").decode()
