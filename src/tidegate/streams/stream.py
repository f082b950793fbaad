"""One stream of this process: who produces it and who reads it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Final

from tidegate.core.attempt import Attempt, Seam
from tidegate.core.event import AnyEvent, End, Failure
from tidegate.core.request import Header
from tidegate.core.run import Skipped
from tidegate.core.steady import Passable, Steady
from tidegate.streams.producer import Producer
from tidegate.streams.reader import Reader
from tidegate.streams.relay import pass_by

if TYPE_CHECKING:
    from tidegate.streams.registry import Streams

CANCELLED: Final = Failure("the generation was cancelled", type="cancelled", status=499)


class Stream:
    """A stream of this process. A lone reader without room pauses the producer, one of several never does."""

    __slots__ = (
        "_registry",
        "archived",
        "header",
        "left",
        "passed_on",
        "producer",
        "readers",
        "task",
        "wanted",
    )

    def __init__(self, header: Header, epoch: int, registry: Streams) -> None:
        self.header = header
        self.producer = Producer(
            header,
            registry.log,
            registry.clock,
            epoch,
            registry.over,
            self._pass_by,
        )
        self.readers: list[Reader] = []
        self.task: asyncio.Task[None] | None = None
        self.archived = False
        self.passed_on: int | None = None
        """The last seq, once the log has let go of it for the archive."""
        self.left = False
        """It is not ended here: whoever takes over the log goes on with it."""
        self.wanted: Callable[[], None] | None = None
        """What a first reader sets off, where nobody may want the rest of a stream any more."""
        self._registry = registry

    def run(self, generation: Coroutine[None, None, None]) -> None:
        """Start the task that produces."""
        self.task = asyncio.get_running_loop().create_task(generation)
        # A task that is cancelled before its first step runs none of its own code.
        self.task.add_done_callback(self._ended)

    @property
    def live(self) -> bool:
        """See :class:`Readable`, as for all that follow."""
        return True

    @property
    def dropped(self) -> tuple[str, ...]:
        return self.producer.dropped

    @property
    def visible(self) -> bool:
        return self.producer.visible

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        return self.producer.attempts

    @property
    def seams(self) -> tuple[Seam, ...]:
        return self.producer.seams

    @property
    def last_seq(self) -> int:
        if self.passed_on is not None:
            return self.passed_on
        return self._registry.log.last_seq(self.header.id)

    @property
    def end(self) -> End | None:
        end = self.producer.end_event
        if end is None or self._registry.get(self.header.id) is not self:
            return end
        return self._registry.told(self) or end

    async def events(self, after: int, most: int) -> list[AnyEvent]:
        if self.passed_on is not None:
            return await self._registry.archive.events(self.header.id, after, most)
        return self._registry.log.read(self.header.id, after, most)

    async def passed(self, upto: int) -> tuple[list[Skipped], int]:
        if self.passed_on is not None:
            return await self._registry.archive.passed(self.header.id, upto)
        return self._registry.log.passed(self.header.id, upto)

    def attach(self, reader: Reader) -> None:
        if self.wanted is not None:
            self.wanted()
        self.readers.append(reader)
        self._catch_up(reader)

    def detach(self, reader: Reader) -> None:
        if reader in self.readers:
            self.readers.remove(reader)
        if not self.readers and not self.producer.ended and self.header.on_disconnect == "cancel":
            # The task ends in the loop's next round; the megabytes that a fast upstream has on the way until
            # then would be decoded for nobody.
            self._registry.log.follow(self.header.id, None)
            self.producer.pause()
            self.cancel()
            return
        self._balance()
        if not self.readers and self.archived:
            self._registry.forget(self)

    def block(self, reader: Reader) -> None:
        reader.blocked = True
        self._balance()

    def unblock(self, reader: Reader) -> None:
        reader.blocked = False
        if not reader.behind:
            self._catch_up(reader)

    def settle(self) -> None:
        self.producer.settle()

    def _pass_by(self, steady: Steady, upstream: Passable) -> bool:
        registry = self._registry
        return pass_by(self, registry.log, registry.clock, steady, upstream)

    def commit_start(self) -> None:
        self.producer.commit_start()

    def cancel(self) -> None:
        if self.task is not None:
            self.task.cancel()

    def leave(self) -> None:
        """Stop producing, for this process ends, and let the next one go on."""
        self.left = True
        self.cancel()

    def _ended(self, _: asyncio.Task[None]) -> None:
        if self.left:
            return
        if not self.producer.ended:
            self._registry.unbegun(self)
        self.producer.end("cancelled", error=CANCELLED)

    def _catch_up(self, reader: Reader) -> None:
        """Bring a reader what is there, a step of it at once where nobody else is about to catch up."""
        self.settle()  # before anybody looks at how far the reader has come
        if self._registry.behind and not reader.blocked and reader.seq < self.last_seq:
            reader.behind = True
            self._registry.behind.add(partial(self._step, reader))
            self._balance()
        else:
            self._step(reader)

    def _step(self, reader: Reader) -> None:
        """Bring a reader the next piece of what is there, and see to it that the rest follows."""
        reader.behind = False
        if reader not in self.readers:  # it has left meanwhile
            return
        reader.behind = reader.step()
        if reader.behind:
            self._registry.behind.add(partial(self._step, reader))
        self._balance()

    def _balance(self) -> None:
        lone = self.readers[0] if len(self.readers) == 1 else None
        if lone is not None and lone.blocked:
            self._registry.log.follow(self.header.id, None)
            self.producer.pause()
        else:
            lone = None if lone is not None and lone.behind else lone
            self._registry.log.follow(self.header.id, lone.take if lone is not None else None)
            self.producer.resume()
