"""The tools that a caller offers, and how one is to be chosen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct


class ToolDefinition(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="definition"):
    """A tool that the caller runs. ``parameters`` is a JSON schema.

    A ``custom`` tool takes free text, in the form that ``format`` describes, in place of arguments.
    ``extra`` holds what else its dialect says of it, under that dialect's name.
    """

    name: str
    description: str | None = None
    parameters: Mapping[str, Any] | None = None
    strict: bool | None = None
    custom: bool = False
    format: Mapping[str, Any] | None = None
    cache: Mapping[str, Any] | None = None
    extra: Mapping[str, Any] | None = None


class HostedTool(Struct, frozen=True, tag="hosted"):
    """A tool that the upstream runs itself (a web search, say), as the dialect ``dialect`` writes it."""

    dialect: str
    value: Mapping[str, Any]


class ToolChoice(Struct, frozen=True, omit_defaults=True):
    """Which tools the model may or must call; ``names`` are those of the mode ``tool`` or ``allowed``.

    ``auto`` leaves it to the model, ``required`` wants any call, ``tool`` wants the one that is named,
    ``none`` forbids calls. With ``names``, ``auto`` and ``required`` speak of these tools alone.
    """

    mode: Literal["auto", "none", "required", "tool"]
    names: tuple[str, ...] = ()
