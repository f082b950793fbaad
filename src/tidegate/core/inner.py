"""Generations within a generation: how agents and workspaces ask the models behind the gateway."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any, Protocol

from tidegate.core.event import AnyEvent
from tidegate.core.request import Header


class Inner(Protocol):
    """Starts generations on behalf of one that is under way. They are streams like any other: logged,
    retried, counted once, and of the same caller, whose key must be for their models.
    """

    def ask(
        self, parent: Header, name: str, body: Mapping[str, Any], *, again: bool
    ) -> AsyncGenerator[AnyEvent, None]:
        """The events of the answer to a body of OpenAI Chat, with its End where that is a completed one.

        ``name`` is unique within the parent. With ``again`` the parent is run a second time: what it asked by
        this name before is gone on with, from its beginning, if the body is the same. Closing the generator
        cancels the answer. Raises TidegateError for an answer that did not complete.
        """
        ...

    def model(self, parent: Header, wanted: str | None) -> str:
        """The public name of the model that is wanted, or of the one that answers where none is named.

        Raises NotFound, Forbidden.
        """
        ...

    def facts(self, parent: Header, model: str) -> Mapping[str, Any]:
        """What is known of a model: ``context_length`` in tokens, ``capabilities`` by name."""
        ...
