"""Streams against a list: whatever producers, readers, crashes and take-overs do, and in whatever order."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Coroutine
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, TypeVar, cast

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
    run_state_machine_as_test,
)

from tests.loops import VirtualLoop, turns
from tests.properties import examples
from tests.streams.parts import ManualClock, Page, Plain, header
from tidegate.core.event import AnyEvent, End, Outcome, Start, Text
from tidegate.core.request import OnDisconnect
from tidegate.errors import Fenced
from tidegate.streams.archive import Archive, MemoryArchive
from tidegate.streams.disk import DiskLog
from tidegate.streams.log import Committed, StreamLog
from tidegate.streams.memory import MemoryLog
from tidegate.streams.producer import Producer
from tidegate.streams.reader import Reader
from tidegate.streams.recovery import Recovery
from tidegate.streams.registry import CANCELLED, Readable, Stream, Streams
from tidegate.streams.segments import Segments, Slot

T = TypeVar("T")

ALL = 1 << 40


class Told(Plain):
    """A renderer that writes each event as one word, so that what was written can be compared."""

    def render(self, events: object) -> bytes:
        return b"".join(map(word, cast(list[AnyEvent], events)))


def word(event: AnyEvent) -> bytes:
    if isinstance(event, Text):
        return event.text.encode() + b" "
    return f"<{event.outcome}!>".encode() if isinstance(event, End) else b"<start>"


class Model:
    """A stream as it should be: all that was ever shown of it."""

    def __init__(self, policy: OnDisconnect) -> None:
        self.events: list[AnyEvent] = []
        self.policy = policy
        self.epoch = 1

    @property
    def ended(self) -> bool:
        return bool(self.events) and isinstance(self.events[-1], End)


class Watching(Page):
    """A reader that leaves at the end, as a client does; what it was told must be the model's."""

    def __init__(self, name: str, model: Model, found: Readable, log: StreamLog, after: int) -> None:
        super().__init__()
        self.name = name
        self.model = model
        self.found = found
        self.after = after
        self.reader = Reader(name, log, Told(), self, after)
        self.left = False

    def end(self, data: bytes, last: End) -> None:
        super().end(data, last)
        self.leave()

    def leave(self) -> None:
        self.left = True
        self.found.detach(self.reader)

    def check(self) -> None:
        """A prefix without a gap or a repeat, and everything unless it is slow or has left."""
        expected = b"".join(map(word, self.model.events[self.after :]))
        if self.reader.blocked or self.left:
            assert expected.startswith(self.body)
        else:
            assert self.body == expected
        assert (self.last is not None) == self.body.endswith(b"!>")


class StreamMachine(RuleBasedStateMachine):
    """One process after another with the streams of one folder, in virtual time."""

    names = Bundle("names")
    readers = Bundle("readers")
    zombies = Bundle("zombies")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=VirtualLoop)
        self.clock = ManualClock()
        self.models: dict[str, Model] = {}
        self.watching: list[Watching] = []
        self.archive = MemoryArchive(MemoryLog(self.clock, lambda *_: None), self.clock)
        self.streams = Streams(self.clock, self.make, 60.0)

    def make(self, committed: Committed) -> tuple[StreamLog, Archive]:
        log = MemoryLog(self.clock, committed)
        self.archive._log = log
        return log, self.archive

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        async def settled() -> T:
            result = await work
            await turns()
            return result

        return self.runner.run(settled())

    async def _generate(self) -> None:
        """A generation that goes on until it is cancelled: the test is what speaks."""
        await asyncio.get_running_loop().create_future()

    def live(self, name: str) -> Stream | None:
        stream = self.streams.get(name)
        return stream if stream is not None and not stream.producer.ended else None

    def do(self, work: Callable[[], object]) -> None:
        async def doing() -> None:
            work()

        self.run(doing())

    @rule(target=names, policy=st.sampled_from(["cancel", "drain", "detach"]))
    def create(self, policy: OnDisconnect) -> str:
        name = f"{len(self.models):032x}"
        self.models[name] = Model(policy)

        def work() -> None:
            self.streams.create(header(name, policy)).run(self._generate())

        self.do(work)
        return name

    @rule(name=names, count=st.integers(1, 4))
    def say(self, name: str, count: int) -> None:
        stream, model = self.live(name), self.models[name]
        if stream is not None:
            words: list[AnyEvent] = [Text(text=f"{len(model.events)}.{number}") for number in range(count)]
            model.events += words if model.events else [Start(), *words]
            self.do(lambda: stream.producer.emit_all(words))

    @rule(name=names)
    def start(self, name: str) -> None:
        stream, model = self.live(name), self.models[name]
        if stream is not None:
            if not model.events:
                model.events.append(Start())
            self.do(stream.commit_start)

    @rule(name=names, outcome=st.sampled_from(["completed", "failed", "interrupted"]))
    def end(self, name: str, outcome: Outcome) -> None:
        stream = self.live(name)
        if stream is not None:
            self.models[name].events.append(End(outcome=outcome))

            def work() -> None:
                stream.producer.end(outcome)
                stream.cancel()

            self.do(work)

    @rule(name=names)
    def cancel(self, name: str) -> None:
        stream = self.live(name)
        if stream is not None:
            self.models[name].events.append(End(outcome="cancelled", error=CANCELLED))
            self.do(stream.cancel)

    @rule(target=readers, name=names, where=st.floats(0, 1))
    def attach(self, name: str, where: float) -> Watching:
        model = self.models[name]
        most = len(model.events) - model.ended  # whoever has the end does not come back
        found = self.run(self.streams.find(name, "c"))
        page = Watching(name, model, found, self.streams.log, round(where * most))
        self.watching.append(page)
        self.do(lambda: found.attach(page.reader))
        return page

    @rule(page=readers)
    def block(self, page: Watching) -> None:
        if not page.left:
            self.do(lambda: page.found.block(page.reader))

    @rule(page=readers)
    def unblock(self, page: Watching) -> None:
        if not page.left:
            self.do(lambda: page.found.unblock(page.reader))

    @rule(page=consumes(readers))
    def leave(self, page: Watching) -> None:
        if page.left:
            return
        model = self.models[page.name]
        self.do(page.leave)
        alone = not any(each.name == page.name and not each.left for each in self.watching)
        if alone and model.policy == "cancel" and not model.ended:
            model.events.append(End(outcome="cancelled", error=CANCELLED))

    @rule(target=zombies, name=names)
    def take_over(self, name: str) -> Producer | None:
        """Another producer goes on with the stream; the one before does not know yet."""
        stream, model = self.live(name), self.models[name]
        if stream is None:
            return None
        old, epoch = stream.producer, self.streams.log.take_over(name)
        new = Producer(stream.header, self.streams.log, self.clock, epoch, self.streams.over)
        new.started, new.visible = old.started, old.visible
        stream.producer, model.epoch = new, epoch
        old._over = lambda _: None
        return old

    @rule(old=zombies, ends=st.booleans())
    def rise(self, old: Producer | None, ends: bool) -> None:
        """What it still says reaches nobody."""
        if old is None or old.ended or self.streams.get(old._stream) is None:
            return
        if ends:
            self.do(lambda: old.end("completed"))
        else:
            with pytest.raises(Fenced):
                old.emit(Text(text="late"))

    @rule()
    def archive_all(self) -> None:
        self.run(self.streams.settle())
        assert not self.streams.unsettled or len(self.streams)

    @invariant()
    def readers_have_what_they_should(self) -> None:
        for page in self.watching:
            page.check()
        self.watching = [page for page in self.watching if not page.left]

    @invariant()
    def logs_are_whole(self) -> None:
        for name, model in self.models.items():
            stream = self.streams.get(name)
            if stream is not None:
                records = self.streams.log.records(name, 0, ALL)
                assert [each.event for each in records] == model.events
                assert [each.seq for each in records] == list(range(1, len(records) + 1))
                assert all(each.epoch <= model.epoch for each in records)
            else:
                assert model.ended
            assert sum(isinstance(event, End) for event in model.events) <= 1

    def teardown(self) -> None:
        self.run(self._close())
        self.runner.close()

    async def _close(self) -> None:
        """All tasks of a process that is gone."""
        for page in self.watching:
            if not page.found.live:
                page.found.detach(page.reader)
        for stream in list(self.streams):
            stream.leave()
        if self.streams._archiving is not None:
            self.streams._archiving.cancel()
        await turns()


class CrashMachine(StreamMachine):
    """The same with a log on disk, in a process that may be killed."""

    def __init__(self) -> None:
        self.folder = Path(mkdtemp(prefix="tidegate-model-"))
        self.begun = 0
        super().__init__()

    def make(self, committed: Committed) -> tuple[StreamLog, Archive]:
        self.slot = Slot(self.folder / str(self.begun))
        self.begun += 1
        log = DiskLog(self.clock, committed, Segments(self.slot, 600))
        self.archive._log = cast(MemoryLog, log)  # it does not mind which log it reads
        return log, self.archive

    @rule(copied=st.integers(0, 3), share=st.floats(0, 1))
    def crash(self, copied: int, share: float) -> None:
        """The process is killed; the next one may be killed while it takes over; another one goes on."""
        self.kill()
        if copied:
            self.streams = Streams(self.clock, self.make, 60.0)
            for name, model in list(self.models.items())[:copied]:
                if not self.archived(name):
                    part = model.events[: round(share * len(model.events))]
                    model.epoch += 1
                    self.streams.log.create(header(name, model.policy), model.epoch)
                    if part:
                        self.copy(name, model.epoch, part)
            self.kill()
        self.streams = Streams(self.clock, self.make, 60.0)
        self.run(self.recover())

    def copy(self, name: str, epoch: int, events: list[AnyEvent]) -> None:
        log = self.streams.log
        assert isinstance(log, DiskLog)
        log._committed = lambda *_: None  # nobody reads here
        log.append(name, epoch, events)

    def archived(self, name: str) -> bool:
        return self.run(self.archive.find(name)) is not None

    def kill(self) -> None:
        self.run(self._close())
        for page in self.watching:
            page.left = True
        self.watching.clear()
        self.streams.log.close()
        self.slot.close()

    async def recover(self) -> None:
        for stream, said in await Recovery(self.folder, self.slot, self.streams).take_over():
            assert said == self.models[stream.header.id].events
            stream.run(self._generate())
        for name, model in self.models.items():
            found = await self.streams.find(name, "c")  # none is lost
            assert (found.end is not None) == model.ended
            records = self.streams.log.records(name, 0, ALL) if self.streams.get(name) else []
            if records:
                assert records[0].epoch > 1
                model.epoch = records[0].epoch
            else:
                model.epoch += 2  # it has said nothing, so nothing tells its epoch
        assert [each.name for each in self.folder.iterdir()] == [self.slot.folder.name]

    def teardown(self) -> None:
        super().teardown()
        self.streams.log.close()
        self.slot.close()
        shutil.rmtree(self.folder)


TestStreams = StreamMachine.TestCase
TestStreams.settings = examples(20, steps=30)
TestCrashes = CrashMachine.TestCase
TestCrashes.settings = examples(25, steps=30)


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("machine", [StreamMachine, CrashMachine])
def test_thousands_of_steps(machine: type[StreamMachine]) -> None:
    run_state_machine_as_test(machine, settings=examples(50, steps=60))
