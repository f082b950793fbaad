"""Starts the generations that agents and workspaces ask for within their own."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from hashlib import sha256
from typing import Any, Final

import msgspec

from tidegate.core.event import AnyEvent, End
from tidegate.core.request import Header
from tidegate.dialects import load_dialect
from tidegate.errors import Gone, InvalidRequest, NotFound, Overloaded, SourceError
from tidegate.generation import Gateway
from tidegate.routing.table import Routes
from tidegate.streams.listener import Listener
from tidegate.streams.registry import Elsewhere, Readable

_MOST_DEPTH: Final = 8
"""Streams within streams: an agent that asks itself would never end."""

_DEMO: Final = "demo"
_UNABLE: Final = frozenset({"agent", "embedding", "rerank", "workspace"})
"""Types of models that nothing is asked of where no model is named."""


class InnerGenerations:
    """Implements :class:`tidegate.core.inner.Inner` with the streams of a gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._chat = load_dialect("openai-chat")

    async def ask(
        self, parent: Header, name: str, body: Mapping[str, Any], *, again: bool
    ) -> AsyncGenerator[AnyEvent, None]:
        """See :class:`tidegate.core.inner.Inner`, as for all that follow."""
        if parent.depth >= _MOST_DEPTH:
            raise InvalidRequest(f"agents asked one another {_MOST_DEPTH} times over; this one is refused")
        encoded = msgspec.json.encode(body)
        number = 1
        while again:
            try:
                found = await self._gateway.streams.find(_id(parent, name, number), parent.caller)
            except (NotFound, Overloaded):  # one that was asked for by then came here with its parent
                break
            except (Gone, Elsewhere):
                number += 1
                continue
            number += 1
            if found.header.body == encoded:
                async with aclosing(self._known_events(found)) as events:
                    async for event in events:
                        yield event
                        if type(event) is End:
                            return
        request = self._chat.read_request(encoded, {}, "")
        stream = self._gateway.start_within(parent, request, encoded, _id(parent, name, number))
        async with aclosing(self._events(stream)) as events:
            async for event in events:
                if type(event) is End and event.outcome != "completed":
                    raise _broken(event)
                yield event

    def model(self, parent: Header, wanted: str | None) -> str:
        routes = self._gateway.routes.within(parent.models)
        if wanted is not None:
            return routes.resolve(wanted).model
        return _first_able(routes)

    def facts(self, parent: Header, model: str) -> Mapping[str, Any]:
        return self._gateway.routes.within(parent.models).resolve(model).facts

    async def _known_events(self, stream: Readable) -> AsyncGenerator[AnyEvent, None]:
        """The events of a stream that is gone on with; none of one that could not be.

        Nothing is told of what a dead process had of it before it is known whether more will come.
        """
        before = stream.last_seq
        held: list[AnyEvent] | None = []
        async with aclosing(self._events(stream)) as events:
            async for event in events:
                failed = type(event) is End and event.outcome != "completed"
                if held is None:
                    if failed:
                        raise _broken(event)
                    yield event
                    continue
                if failed:
                    return
                held.append(event)
                if len(held) > before or type(event) is End:
                    for each in held:
                        yield each
                    held = None

    def _events(self, stream: Readable) -> AsyncGenerator[AnyEvent, None]:
        return Listener(stream, self._gateway.streams.log).events()


def _id(parent: Header, name: str, number: int) -> str:
    """The id of an inner stream, which nobody can guess who does not know that of the parent one."""
    return sha256(f"{parent.id}/{number}/{name}".encode()).hexdigest()[:32]


def _first_able(routes: Routes) -> str:
    """The default model, or the first that answers; the demo only where there is nothing else."""
    if routes.default is not None:
        route = routes.get(routes.default)
        if route is not None and route.facts.get("type") not in _UNABLE:
            return route.model
    able = [route.model for route in routes if route.facts.get("type") not in _UNABLE]
    return next((name for name in able if name != _DEMO), _DEMO)


def _broken(end: AnyEvent) -> SourceError:
    """The error that an inner answer ended with; it was retried already, where that could help."""
    failed = end.error if isinstance(end, End) else None
    if failed is None:
        return SourceError("the answer did not complete", retryable=False)
    return SourceError(
        failed.message,
        retryable=False,
        status=failed.status,
        type=failed.type,
        code=failed.code,
        retry_after=failed.retry_after,
    )
