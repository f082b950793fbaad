"""The metrics of several processes are told as those of one."""

from __future__ import annotations

from tidegate.observe.metrics import Metrics
from tidegate.observe.sum import add_up


def rendered(models: list[str], *, streams: int, deployment: str = "up/x") -> str:
    metrics = Metrics()
    for model in models:
        metrics.generated(model, "", 1.0, 0.1, 5)
        metrics.attempted(deployment, "")
    metrics.open_streams.set(streams)
    return metrics.render().decode()


def samples(text: str, name: str) -> dict[str, float]:
    lines = (line.rpartition(" ") for line in text.splitlines() if line.startswith(name))
    return {labels.removeprefix(name): float(value) for labels, _, value in lines}


def test_the_sum_of_one_is_the_same_text() -> None:
    text = rendered(['odd "name"\n\\', "plain"], streams=3)
    assert add_up([text]).decode() == text


def test_counts_histograms_and_gauges_are_added() -> None:
    total = add_up([rendered(["a", "b"], streams=2), rendered(["b"], streams=5)]).decode()
    assert samples(total, "tidegate_open_streams") == {"": 7}
    assert samples(total, "tidegate_attempts_total") == {'{error_type="",tidegate_deployment="up/x"}': 3}
    assert samples(total, "gen_ai_server_time_to_first_token_seconds_count") == {
        '{gen_ai_request_model="a"}': 1,
        '{gen_ai_request_model="b"}': 2,
    }
    buckets = samples(total, "gen_ai_server_time_to_first_token_seconds_bucket")
    assert buckets['{gen_ai_request_model="b",le="0.16"}'] == 2


def test_the_first_time_since_when_counts() -> None:
    first, second = rendered(["a"], streams=0), rendered(["a"], streams=0)
    [(labels, since)] = samples(first, "tidegate_attempts_created").items()
    assert samples(add_up([second, first]).decode(), "tidegate_attempts_created") == {labels: since}
