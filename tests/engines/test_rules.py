"""The pure rules: when to restart, how large a batch, what a log says, what cannot fit."""

from __future__ import annotations

import pytest

from tidegate.engines import RestartPolicy
from tidegate.engines.llama_log import reason_for_crash, reason_for_failed_load
from tidegate.engines.machine import missing_instructions, physical_memory, usable_cores
from tidegate.engines.prompt_batch import prompt_batch
from tidegate.engines.prompt_size import PromptLimit
from tidegate.engines.restart import BackOff


def test_delays_grow_to_a_bound() -> None:
    policy = RestartPolicy(first=1, factor=2, longest=60, jitter=0.2)
    assert [policy.delay(failures, 0.0) for failures in range(10)] == [0, 0, 1, 2, 4, 8, 16, 32, 60, 60]
    assert policy.delay(2, 1.0) == pytest.approx(1.2)
    assert policy.delay(10_000, 0.0) == 60


def test_back_off_forgets_after_a_healthy_while() -> None:
    now = 100.0
    back_off = BackOff(RestartPolicy(healthy_after=60), lambda: now, lambda: 0.0)
    back_off.failed(0)
    assert back_off.remaining == 0
    back_off.failed(59)
    assert (back_off.failures, back_off.remaining) == (2, 1)
    now += 0.75
    assert back_off.remaining == 0.25
    back_off.failed(60)
    assert (back_off.failures, back_off.remaining) == (1, 0)


@pytest.mark.parametrize(
    ("parameters", "cores", "batch"),
    [(1e5, 1, 256), (0.1e9, 1, 16), (0.1e9, 4, 32), (0.1e9, 16, 128), (0.6e9, 8, 32), (7e9, 8, 16)],
)
def test_batches_take_well_under_a_second(parameters: float, cores: int, batch: int) -> None:
    assert prompt_batch(int(2 * parameters), cores) == batch


def test_batches_on_a_gpu_are_large() -> None:
    assert prompt_batch(10**12, 1, on_gpu=True) == 512


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        ("", None),
        ("0.00.1.1 I all is well\n", None),
        (
            "0.00.004.245 E llama_model_load: error loading model: unknown model architecture: 'lxama'\n"
            "0.00.004.265 E llama_model_load_from_file_impl: failed to load model\n",
            "unknown model architecture: 'lxama'",
        ),
        (
            "0.00.004.033 E read: string length 5 exceeds remaining file size 0 bytes\n"
            "0.00.004.039 E gguf_init_from_reader: failed to read key-value pairs\n"
            "0.00.004.047 E llama_model_load: error loading model: llama_model_loader: failed to load x\n",
            "failed to read key-value pairs",
        ),
        (
            "0.16.915.034 E ggml_aligned_malloc: insufficient memory (attempted to allocate 24414.12 MB)\n"
            "0.17.220.732 E llama_init_from_model: failed to initialize the context: failed to allocate\n",
            "there is not enough memory for it: lower `context` or `slots`, or take a smaller quantisation",
        ),
        ("0.0.0.1 E srv    load_model: failed to load it\n", "failed to load it"),
        ("0.0.0.1 E failed " + "x" * 400, "failed " + "x" * 293 + "…"),
    ],
)
def test_reason_for_a_failed_load(log: str, reason: str | None) -> None:
    assert reason_for_failed_load(log) == reason


def test_reason_for_a_crash() -> None:
    assert reason_for_crash("0.0.0.1 E failed to do this\n") is None
    assert reason_for_crash("a\n/x/ggml.c:12: GGML_ASSERT(a == b) failed\nb\n") == (
        "/x/ggml.c:12: GGML_ASSERT(a == b) failed"
    )


def test_prompts_that_fit_in_no_way_are_found() -> None:
    limit = PromptLimit(context=100, longest_token=10)
    assert limit.problem({"messages": [{"role": "user", "content": "x" * 1000}]}) is None
    part = {"type": "text", "text": "x" * 1010}
    for request in (
        {"prompt": "x" * 1010},
        {"messages": [{"content": "x" * 505}, {"content": "x" * 505}]},
        {"messages": [{"content": [part, {"type": "image_url"}]}]},
    ):
        problem = limit.problem(request)
        assert problem is not None
        assert problem["error"]["type"] == "exceed_context_size_error"
        assert (problem["error"]["n_prompt_tokens"], problem["error"]["n_ctx"]) == (101, 100)


@pytest.mark.parametrize(
    "request_",
    [{}, {"messages": None}, {"messages": ["x", {"content": None}, {"content": [1]}]}, {"prompt": [1, 2]}],
)
def test_odd_requests_are_left_to_the_engine(request_: dict[str, object]) -> None:
    assert PromptLimit(1, 1).problem(request_) is None
    assert PromptLimit(1, 0).problem({"prompt": "x" * 100}) is None


def test_this_machine_can_be_asked() -> None:
    assert usable_cores() >= 1
    memory = physical_memory()
    assert memory is None or memory > 1 << 28
    assert missing_instructions() is None or missing_instructions() == str(missing_instructions()).upper()
