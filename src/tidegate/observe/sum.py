"""Adds up the metrics of several processes, as each renders them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from prometheus_client import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector, CollectorRegistry

_CREATED = "_created"
"""Ends the name of a sample that tells since when another one counts."""


class _Summed(Collector):
    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)

    def collect(self) -> Iterator[Metric]:
        yield from self._metrics


def add_up(texts: Sequence[str]) -> bytes:
    """One exposition text, in which every sample is the sum of those of the same name and labels.

    Of times since when something counts it is the first.
    """
    registry = CollectorRegistry()
    registry.register(_Summed(_summed(texts)))
    return generate_latest(registry)


def _summed(texts: Sequence[str]) -> list[Metric]:
    metrics: dict[str, Metric] = {}
    values: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
    for text in texts:
        for family in text_string_to_metric_families(text):
            metrics.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            known = values.setdefault(family.name, {})
            for sample in family.samples:
                key = (sample.name, tuple(sample.labels.items()))
                value = float(sample.value)
                if key not in known:
                    known[key] = value
                elif sample.name.endswith(_CREATED):
                    known[key] = min(known[key], value)
                else:
                    known[key] += value
    for name, metric in metrics.items():
        for (sample_name, labels), value in values[name].items():
            metric.add_sample(sample_name, dict(labels), value)
    return list(metrics.values())
