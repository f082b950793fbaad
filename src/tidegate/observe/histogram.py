"""A histogram that is cheap to feed: one bisection and two additions, no lock, in the event loop's thread."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

from prometheus_client.metrics_core import HistogramMetricFamily
from prometheus_client.registry import Collector


class Histogram(Collector):
    """Counts observations by label values. ``bounds`` are upper bounds in ascending order."""

    def __init__(self, name: str, help_text: str, labels: Sequence[str], bounds: Sequence[float]) -> None:
        self._name = name
        self._help = help_text
        self._labels = tuple(labels)
        self._bounds = tuple(bounds)
        self._cells: dict[tuple[str, ...], list[float]] = {}

    def observe(self, labels: tuple[str, ...], value: float) -> None:
        """Count one value."""
        cells = self._cells.get(labels)
        if cells is None:
            # One count for each bound, one above the last, and the sum.
            cells = self._cells[labels] = [0] * (len(self._bounds) + 1) + [0.0]
        cells[bisect_left(self._bounds, value)] += 1
        cells[-1] += value

    def collect(self) -> Iterable[HistogramMetricFamily]:
        """The samples, for a registry."""
        family = HistogramMetricFamily(self._name, self._help, labels=self._labels)
        for labels, cells in self._cells.items():
            family.add_metric(labels, buckets=list(self._buckets(cells)), sum_value=cells[-1])
        yield family

    def describe(self) -> Iterable[HistogramMetricFamily]:
        """Named without samples, so that a registry finds duplicates."""
        yield HistogramMetricFamily(self._name, self._help, labels=self._labels)

    def _buckets(self, cells: Sequence[float]) -> Iterator[tuple[str, float]]:
        total = 0.0
        for bound, count in zip((*self._bounds, float("inf")), cells[:-1], strict=True):
            total += count
            yield ("+Inf" if bound == float("inf") else str(float(bound)), total)
