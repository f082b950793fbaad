"""The command line of the bench: what it measures by default, and what it refuses."""

import pytest

from bench.__main__ import read_options


def test_default_run_measures_everything_three_times() -> None:
    options = read_options([])
    names = [scenario.name for scenario in options.scenarios]
    assert options.rounds == 3
    assert {
        "delta",
        "delta-chinese",
        "request",
        "request-logged",
        "answer",
        "sustained",
        "open-streams",
    } <= set(names)


def test_quick_run_is_one_round_with_short_windows() -> None:
    options = read_options(["--quick"])
    assert options.rounds == 1
    assert "delta-chinese" not in [scenario.name for scenario in options.scenarios]
    assert all(scenario.load.window <= 1 for scenario in options.scenarios)


def test_only_keeps_the_order_that_was_asked_for() -> None:
    assert [scenario.name for scenario in read_options(["--only", "memory,delta"]).scenarios] == [
        "memory",
        "delta",
    ]


def test_foreign_gateway_is_not_asked_for_an_access_log() -> None:
    options = read_options(["--gateway-command", "gateway {port} {mock_port}"])
    assert options.gateway is not None
    assert not any(scenario.access_log for scenario in options.scenarios)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--only", "delta,speed"], "no scenario speed; there are delta, "),
        (["--rounds", "-1"], "--rounds must be at least 1"),
        (["--gateway-url", "http://127.0.0.1:7860"], "--gateway-url and --pid belong together"),
        (["--gateway-url", "https://example.org", "--pid", "1"], "must be like http://127.0.0.1:7860"),
        (["--gateway-url", "x", "--pid", "1", "--gateway-command", "y"], "not both"),
    ],
)
def test_wrong_arguments_get_a_sentence(
    capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        read_options(arguments)
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err
