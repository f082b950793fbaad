"""Our histogram says what prometheus-client's own would say."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from tidegate.observe import histogram, metrics

BOUNDS = (0.1, 0.5, 1.0, 5.0)


def lines(registry: CollectorRegistry) -> set[str]:
    text = generate_latest(registry).decode()
    return {line for line in text.splitlines() if not line.startswith("#") and "_created" not in line}


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.sampled_from([0.0, 0.1, 0.3, 0.5, 1.0, 4.5, 9.0]))))
def test_it_equals_the_librarys(observed: list[tuple[str, float]]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    mine = histogram.Histogram("h", "text", ("model",), BOUNDS)
    ours.register(mine)
    reference = Histogram("h", "text", ("model",), buckets=BOUNDS, registry=theirs)
    for model, value in observed:
        mine.observe((model,), value)
        reference.labels(model).observe(value)
    assert lines(ours) == lines(theirs)


def test_metrics_count_generations_and_attempts() -> None:
    counted = metrics.Metrics()
    counted.generated("m", "", 2.0, 0.5, 4)
    counted.generated("m", "504", 1.0, None, 0)
    counted.attempted("up/m", "")
    counted.attempted("up/m", "")
    text = counted.render().decode()
    assert 'gen_ai_server_request_duration_seconds_count{error_type="",gen_ai_request_model="m"} 1.0' in text
    assert (
        'gen_ai_server_request_duration_seconds_count{error_type="504",gen_ai_request_model="m"} 1.0' in text
    )
    assert 'gen_ai_server_time_to_first_token_seconds_sum{gen_ai_request_model="m"} 0.5' in text
    assert 'gen_ai_server_time_per_output_token_seconds_sum{gen_ai_request_model="m"} 0.5' in text
    assert 'tidegate_attempts_total{error_type="",tidegate_deployment="up/m"} 2.0' in text
