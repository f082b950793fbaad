"""The order in which a route's deployments are tried."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tidegate.routing.table import Deployment


def choose(deployments: Sequence[Deployment], random: Callable[[], float]) -> list[Deployment]:
    """As configured, healthy ones first; where weights differ the first is drawn by weight.

    Those that are full are left out. ``random`` gives numbers from 0 up to 1.
    """
    deployments = [
        each for each in deployments if each.max_streams is None or each.health.open < each.max_streams
    ]
    if len(deployments) <= 1:
        return deployments
    healthy = [each for each in deployments if each.health.healthy]
    resting = [each for each in deployments if not each.health.healthy]
    if len({each.weight for each in healthy}) > 1:
        first = _drawn(healthy, random())
        healthy = [first, *(each for each in healthy if each is not first)]
    return healthy + resting


def _drawn(deployments: Sequence[Deployment], point: float) -> Deployment:
    at = point * sum(each.weight for each in deployments)
    for each in deployments:
        at -= each.weight
        if at < 0:
            return each
    return deployments[-1]
