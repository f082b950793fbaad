"""What several worker processes tell as one: each answers the others here, and adds up what they answer."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec

from tidegate.errors import TidegateError
from tidegate.observe.metrics import Metrics
from tidegate.server.generate import Service
from tidegate.server.handover import HAS, Answers
from tidegate.server.streams.endpoints import listed
from tidegate.server.streams.state import Json
from tidegate.streams.listing import Wanted

METRICS: Final = "metrics"
_STREAMS: Final = "streams"
_LIST: Final = "list"


def answers_to_peers(service: Service, metrics: Metrics) -> Answers:
    """What other processes may ask of this one."""
    streams = service.gateway.streams

    async def has(stream: Any) -> bool:
        if streams.get(stream) is not None:
            return True
        try:
            return await streams.archive.find(stream) is not None
        except TidegateError:
            return True  # what is wrong with it, such as its age, is told there

    async def rendered(_: Any) -> str:
        return render_metrics(service, metrics)

    async def count(_: Any) -> int:
        return len(streams)

    async def page(asked: Any) -> list[Json]:
        return await listed(streams, service.questions, msgspec.convert(asked, Wanted))

    return {HAS: has, METRICS: rendered, _STREAMS: count, _LIST: page}


async def listed_by_others(service: Service, wanted: Wanted) -> list[list[Json]]:
    """A page of a caller's streams as each of the other processes has it; a worker may be asked twice."""
    asked = [each.ask(_LIST, wanted) for each in (service.peers, service.neighbours) if each is not None]
    return [page for pages in await asyncio.gather(*asked) for page in pages]


def render_metrics(service: Service, metrics: Metrics) -> str:
    """The exposition text of this process."""
    metrics.open_streams.set(len(service.gateway.streams))
    return metrics.render().decode()


async def state(service: Service) -> dict[str, int]:
    """The streams under way in all workers, and how many workers answer, where there are several."""
    streams = len(service.gateway.streams)
    if service.peers is None:
        return {"streams": streams}
    counts = await service.peers.ask(_STREAMS)
    return {"streams": streams + sum(counts), "workers": 1 + len(counts)}
