"""A short real run of the harness, straight on its mock upstream."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.harness import Harness, Load
from bench.native import FLAGS, PARTS, SOURCE, compile_to, compiler
from bench.systems import Endpoint, direct
from tests.bench.conftest import needs_compiler

SHORT = Load(streams=20, interval_us=20_000, ramp=0.1, settle=0.0, window=0.2)


@needs_compiler
@pytest.mark.parametrize("shape", ["plain", "vary", "chinese", "reasoning"])
def test_streams_of_every_shape_arrive_whole(running_harness: Harness, shape: str) -> None:
    reading = running_harness.run(Endpoint(running_harness.mock_port), replace(SHORT, shape=shape))
    assert (reading.good, reading.failures, reading.lost_deltas) == (20, 0, 0)
    assert reading.open_at_end == 20
    assert reading.deltas > 0
    assert reading.latency_p50_us > 0


@needs_compiler
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/responses"])
def test_streams_of_other_forms_arrive_whole(running_harness: Harness, path: str) -> None:
    endpoint = Endpoint(running_harness.mock_port, translates=True)
    reading = running_harness.run(endpoint, replace(SHORT, shape="plain", path=path))
    assert (reading.good, reading.failures, reading.lost_deltas) == (20, 0, 0)
    assert reading.deltas > 0


@needs_compiler
def test_measuring_starts_and_warms_up_a_system(running_harness: Harness) -> None:
    reading = running_harness.measure(direct, SHORT)
    assert (reading.good, reading.failures, reading.gateway_cpu_seconds) == (20, 0, 0)


@needs_compiler
def test_polling_client_sees_every_stream_too(running_harness: Harness) -> None:
    reading = running_harness.run(Endpoint(running_harness.mock_port), replace(SHORT, polls=True))
    assert (reading.good, reading.failures) == (20, 0)


@needs_compiler
@pytest.mark.parametrize("whole", [False, True], ids=["streams", "plain answers"])
def test_closed_loop_counts_answers(running_harness: Harness, whole: bool) -> None:
    load = Load(
        streams=2, interval_us=1000, deltas=10, closed=True, whole=whole, ramp=0.05, settle=0.0, window=0.3
    )
    reading = running_harness.run(Endpoint(running_harness.mock_port), load)
    assert reading.failures == 0
    assert reading.answers > 1
    assert reading.good >= reading.answers


@needs_compiler
def test_unknown_shape_is_refused_with_a_sentence(
    running_harness: Harness, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(BenchError, match="answered with an error status"):
        running_harness.warm_up(Endpoint(running_harness.mock_port), replace(SHORT, shape="round"))
    assert "The shape is plain, vary, chinese or reasoning." in capsys.readouterr().out


@needs_compiler
@pytest.mark.parametrize("name", sorted(PARTS))
def test_programs_compile_without_a_warning(name: str) -> None:
    sources = [str(SOURCE / part) for part in PARTS[name]]
    strict = ["-Wshadow", "-Wconversion", "-Werror", "-fsyntax-only"]
    result = subprocess.run(
        [compiler(), *FLAGS, *strict, *sources], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


@needs_compiler
def test_source_that_does_not_compile_is_an_error_that_shows_why(tmp_path: Path) -> None:
    source = tmp_path / "broken.c"
    source.write_text("int main(void) { return nothing; }\n")
    with pytest.raises(BenchError, match="nothing"):
        compile_to(tmp_path / "broken", [source])
    assert not (tmp_path / "broken").exists()


def test_missing_compiler_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(BenchError, match="needs a C compiler"):
        compiler()
