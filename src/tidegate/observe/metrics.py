"""Prometheus metrics under the OpenTelemetry names for generative AI servers.

https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/ (dots become underscores).
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from tidegate.observe.histogram import Histogram

_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_TOKEN_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)


class Metrics:
    """One registry with every metric of a process."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.open_streams = Gauge("tidegate_open_streams", "Live streams.", registry=self.registry)
        self._duration = self._histogram(
            "gen_ai_server_request_duration_seconds",
            "From the request to the end of its stream.",
            ("gen_ai_request_model", "error_type"),
            _SECONDS,
        )
        self._first = self._histogram(
            "gen_ai_server_time_to_first_token_seconds",
            "From the request to the first visible delta.",
            ("gen_ai_request_model",),
            _SECONDS,
        )
        self._per_token = self._histogram(
            "gen_ai_server_time_per_output_token_seconds",
            "Time after the first delta, divided by the deltas after it.",
            ("gen_ai_request_model",),
            _TOKEN_SECONDS,
        )
        self._attempts = Counter(
            "tidegate_attempts",
            "Attempts at deployments.",
            ("tidegate_deployment", "error_type"),
            registry=self.registry,
        )
        self._attempts_by_labels: dict[tuple[str, str], Counter] = {}

    def generated(
        self, model: str, error_type: str, seconds: float, first: float | None, deltas: int
    ) -> None:
        """A generation has ended. ``first`` is its TTFT in seconds, ``deltas`` how many it had."""
        self._duration.observe((model, error_type), seconds)
        if first is not None:
            self._first.observe((model,), first)
            if deltas > 1:
                self._per_token.observe((model,), (seconds - first) / (deltas - 1))

    def attempted(self, deployment: str, error_type: str) -> None:
        """An attempt at a deployment has ended; ``error_type`` is empty when it succeeded."""
        counter = self._attempts_by_labels.get((deployment, error_type))
        if counter is None:
            counter = self._attempts.labels(deployment, error_type)
            self._attempts_by_labels[deployment, error_type] = counter
        counter.inc()

    def render(self) -> bytes:
        """The exposition text."""
        return generate_latest(self.registry)

    def _histogram(
        self, name: str, text: str, labels: tuple[str, ...], bounds: tuple[float, ...]
    ) -> Histogram:
        histogram = Histogram(name, text, labels, bounds)
        self.registry.register(histogram)
        return histogram
