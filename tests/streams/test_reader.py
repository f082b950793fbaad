"""A reader follows its stream at its own speed, and is told every event once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dialects.recorded import Case, cases, dialects
from tests.properties import examples
from tests.streams.parts import END, LOGS, Bench, MakeLog, Page, Plain, S, header, texts
from tidegate.core.event import AnyEvent, End
from tidegate.streams.memory import MemoryLog
from tidegate.streams.reader import Reader

BATCH = 256


def reading(bench: Bench, page: Page, seq: int = 0) -> Reader:
    reader = Reader(S, bench.log, Plain(), page, seq)
    bench.readers.append(reader)
    return reader


@pytest.fixture
def bench() -> Bench:
    bench = Bench(MemoryLog)
    bench.log.create(header())
    return bench


def test_one_write_for_each_commit(bench: Bench) -> None:
    page = Page()
    reading(bench, page)
    bench.log.append(S, 1, texts("a", "b"))
    bench.log.append(S, 1, texts("c"))
    assert page.writes == [b"ab", b"c"]


def test_the_end_is_told_as_the_end(bench: Bench) -> None:
    page = Page()
    reader = reading(bench, page)
    bench.log.append(S, 1, [*texts("a"), END])
    assert (page.writes, page.last, reader.finished) == ([b"a<End>"], END, True)
    reader.advance()
    assert page.body == b"a<End>"


def test_what_renders_to_nothing_is_not_written(bench: Bench) -> None:
    page = Page()
    reader = reading(bench, page)
    bench.log.append(S, 1, texts(""))
    assert (page.writes, reader.seq) == ([], 1)


class Defective(Plain):
    """A renderer that fails at a word, and from then on where it is ``broken``."""

    def __init__(self, *, broken: bool) -> None:
        self._broken = broken
        self._failed = False

    def render(self, events: object) -> bytes:
        data = super().render(events)
        if b"bad" in data or (self._failed and self._broken):
            self._failed = True
            raise TypeError("a defect")
        return data


@pytest.mark.parametrize(("broken", "told"), [(False, b"<End>"), (True, b"")])
@pytest.mark.parametrize("ending", [[], [END]])
def test_a_defect_of_the_renderer_ends_the_reading_as_a_failure(
    bench: Bench, ending: list[AnyEvent], broken: bool, told: bytes
) -> None:
    page = Page()
    reader = Reader(S, bench.log, Defective(broken=broken), page)
    bench.readers.append(reader)
    bench.log.append(S, 1, texts("a"))
    bench.log.append(S, 1, [*texts("bad"), *ending])
    assert page.writes == [b"a", told]
    assert page.last is not None
    assert page.last.outcome == "failed"
    assert page.last.error is not None
    assert reader.finished
    bench.log.append(S, 1, texts("more"))
    assert page.body == b"a" + told


def test_it_begins_after_its_seq(bench: Bench) -> None:
    bench.log.append(S, 1, texts(*"abcd"))
    page = Page()
    reading(bench, page, seq=2).advance()
    assert page.body == b"cd"


def test_a_blocked_reader_stays_where_it_is(bench: Bench) -> None:
    page = Page()
    reader = reading(bench, page)
    bench.log.append(S, 1, texts("a"))
    reader.blocked = True
    bench.log.append(S, 1, texts("b"))
    bench.log.append(S, 1, [*texts("c"), END])
    assert (page.body, reader.seq) == (b"a", 1)
    reader.blocked = False
    reader.advance()
    assert (page.writes, page.last) == ([b"a", b"bc<End>"], END)


@pytest.mark.parametrize("behind", [1, BATCH - 1, BATCH, BATCH + 1, 3 * BATCH])
def test_it_catches_up_in_batches(bench: Bench, behind: int) -> None:
    """Also when the last batch is full to the brim, and when the stream goes at its end."""
    bench.log.append(S, 1, [*texts(*["x"] * (behind - 1)), END])

    class Last(Page):
        def end(self, data: bytes, last: End) -> None:
            super().end(data, last)
            bench.log.delete(S)

    page = Last()
    reading(bench, page).advance()
    assert page.body == b"x" * (behind - 1) + b"<End>"
    assert page.last == END
    assert len(page.writes) == -(-behind // BATCH)


def test_it_can_be_blocked_in_the_middle_of_catching_up(bench: Bench) -> None:
    bench.log.append(S, 1, texts(*["x"] * (5 * BATCH)))
    page = Page(room=2, full=lambda: setattr(reader, "blocked", True))
    reader = reading(bench, page)
    reader.advance()
    assert (len(page.writes), reader.seq) == (2, 2 * BATCH)
    reader.blocked = False
    page.room = None
    reader.advance()
    assert reader.seq == 5 * BATCH
    assert page.body == b"x" * (5 * BATCH)


RECORDED = [case for dialect in dialects() for case in cases(dialect) if case.events]


@pytest.mark.parametrize("make", LOGS.values(), ids=LOGS.keys())
@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in RECORDED])
def test_whoever_comes_late_gets_the_same_bytes(make: MakeLog, case: Case) -> None:
    """At every point of every recorded answer; rendering reads no clock, no chance and no settings."""
    bench = Bench(make)
    bench.log.create(header())
    pages = [Page()]
    for event in case.events:
        reader = Reader(S, bench.log, case.dialect.renderer(case.header), pages[-1])
        bench.readers.append(reader)
        reader.advance()
        bench.log.append(S, 1, [event])
        bench.clock.seconds += 1
        pages.append(Page())
    for page in pages[:-1]:
        assert page.body == case.rendered


@examples(100)
@given(
    case=st.sampled_from(RECORDED),
    steps=st.lists(st.sampled_from(["append", "append", "attach", "block", "unblock"]), max_size=30),
)
def test_whenever_readers_come_and_wherever_they_stop(case: Case, steps: list[str]) -> None:
    """Any order of appending, attaching, blocking and unblocking: a reader has a prefix, in the end all."""
    bench = Bench(MemoryLog)
    bench.log.create(header())
    pages: list[Page] = []
    waiting: list[AnyEvent] = list(case.events)
    for step in [*steps, "attach", *["append"] * len(waiting), "unblock"]:
        if step == "append" and waiting:
            bench.log.append(S, 1, [waiting.pop(0)])
        elif step == "attach":
            pages.append(Page())
            reader = Reader(S, bench.log, case.dialect.renderer(case.header), pages[-1])
            bench.readers.append(reader)
            reader.advance()
        else:
            for reader in bench.readers:
                reader.blocked = step == "block"
                reader.advance()
        for page in pages:
            assert case.rendered.startswith(page.body)
    assert [page.body for page in pages] == [case.rendered] * len(pages)
