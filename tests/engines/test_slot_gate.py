"""Who may enter the engine, and in what order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tidegate.engines.slot_gate import Admission, QueueFull, SlotGate

Enter = Callable[..., "Future[Admission | None]"]


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def here() -> bool:
    return False


def entered(gate: SlotGate, slots: int = 1) -> Admission:
    admission = gate.enter(slots, here)
    assert admission is not None
    return admission


def wait_for_queue(gate: SlotGate, length: int) -> None:
    waited = threading.Event()
    for _ in range(1000):
        if gate.queued == length:
            return
        waited.wait(0.005)
    raise AssertionError(f"{gate} never had {length} in its queue")


def test_slots_are_given_and_given_back() -> None:
    gate = SlotGate(2, longest_queue=8)
    with entered(gate) as first:
        first.prompt_done()
        with entered(gate):
            assert (gate.running, gate.queued) == (2, 0)
    assert (gate.running, gate.queued) == (0, 0)


def test_next_prompt_waits_for_the_one_before(threads: ThreadPoolExecutor) -> None:
    gate = SlotGate(2, longest_queue=8)
    with entered(gate) as first:
        second = threads.submit(gate.enter, 1, here)
        wait_for_queue(gate, 1)
        first.prompt_done()
        first.prompt_done()
        assert second.result(5) is not None
        third = threads.submit(gate.enter, 1, here)
        wait_for_queue(gate, 1)
        assert not third.done(), "there is no slot"
    second_admission = second.result()
    assert second_admission is not None
    second_admission.__exit__()
    assert third.result(5) is not None


def test_order_of_arrival_is_kept_also_for_those_who_want_more(threads: ThreadPoolExecutor) -> None:
    gate = SlotGate(2, longest_queue=8)
    order: list[str] = []

    def enter(name: str, slots: int) -> None:
        with entered(gate, slots):
            order.append(name)

    with entered(gate):
        wide = threads.submit(enter, "wide", 2)
        wait_for_queue(gate, 1)
        narrow = threads.submit(enter, "narrow", 1)
        wait_for_queue(gate, 2)
    wide.result(5)
    narrow.result(5)
    assert order == ["wide", "narrow"]


def test_more_slots_than_there_are_means_all_of_them() -> None:
    gate = SlotGate(2, longest_queue=8)
    with entered(gate, 100):
        assert gate.running == 2


def test_the_abandoned_leave_the_queue_and_the_rest_moves_up(threads: ThreadPoolExecutor) -> None:
    gate = SlotGate(1, longest_queue=8)
    gone = threading.Event()
    with entered(gate):
        first = threads.submit(gate.enter, 1, gone.is_set)
        wait_for_queue(gate, 1)
        second = threads.submit(gate.enter, 1, here)
        wait_for_queue(gate, 2)
        gone.set()
        assert first.result(5) is None
        wait_for_queue(gate, 1)
        assert not second.done()
    assert second.result(5) is not None


def test_a_queue_that_is_too_long_is_refused(threads: ThreadPoolExecutor) -> None:
    gate = SlotGate(1, longest_queue=1)
    with entered(gate):
        waiting = threads.submit(gate.enter, 1, here)
        wait_for_queue(gate, 1)
        with pytest.raises(QueueFull):
            gate.enter(1, here)
    assert waiting.result(5) is not None
