"""The live streams of this process: who produces each, who reads it, and when it is forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator

from tidegate.core.clock import Clock
from tidegate.core.event import Failure
from tidegate.core.request import Header
from tidegate.streams.memory import MemoryLog
from tidegate.streams.producer import Producer
from tidegate.streams.reader import Reader

CANCELLED = Failure("the generation was cancelled", type="cancelled", status=499)

_EVERYTHING = 1 << 62


class Stream:
    """One live stream. A lone reader without room pauses the producer; a shared one is never paused."""

    __slots__ = ("_registry", "header", "producer", "readers", "task")

    def __init__(self, header: Header, producer: Producer, registry: Streams) -> None:
        self.header = header
        self.producer = producer
        self.readers: list[Reader] = []
        self.task: asyncio.Task[None] | None = None
        self._registry = registry

    def run(self, generation: Coroutine[None, None, None]) -> None:
        """Start the task that produces."""
        self.task = asyncio.get_running_loop().create_task(generation)
        # A task that is cancelled before its first step runs none of its own code.
        self.task.add_done_callback(self._ended)

    def attach(self, reader: Reader) -> None:
        """Begin to read: what is in the log at once, then as it comes."""
        self.readers.append(reader)
        reader.advance()
        self._balance()

    def detach(self, reader: Reader) -> None:
        """A reader has gone or has finished; the last one to go decides by the stream's policy."""
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
        if not self.readers and self.producer.ended:
            self._registry.forget(self)

    def block(self, reader: Reader) -> None:
        """A reader has no room for more."""
        reader.blocked = True
        self._balance()

    def unblock(self, reader: Reader) -> None:
        """A reader has room again."""
        reader.blocked = False
        reader.advance()
        self._balance()

    def cancel(self) -> None:
        """Stop the generation; the only thing that does."""
        if self.task is not None:
            self.task.cancel()

    def _ended(self, _: asyncio.Task[None]) -> None:
        self.producer.end("cancelled", error=CANCELLED)

    def _balance(self) -> None:
        lone = self.readers[0] if len(self.readers) == 1 else None
        if lone is not None and lone.blocked:
            self._registry.log.follow(self.header.id, None)
            self.producer.pause()
        else:
            self._registry.log.follow(self.header.id, lone.take if lone is not None else None)
            self.producer.resume()


class Streams:
    """All live streams, by id."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._streams: dict[str, Stream] = {}
        self.log = MemoryLog(clock, self._committed, self._passed)

    def create(self, header: Header) -> Stream:
        """A new stream, ready for its producer."""
        self.log.create(header)
        producer = Producer(header.id, self.log, self._clock)
        stream = self._streams[header.id] = Stream(header, producer, self)
        return stream

    def forget(self, stream: Stream) -> None:
        """Let go of a stream that has ended and that nobody reads."""
        if self._streams.pop(stream.header.id, None) is not None:
            self.log.delete(stream.header.id)

    def get(self, stream: str) -> Stream | None:
        """The live stream of this id."""
        return self._streams.get(stream)

    def __len__(self) -> int:
        return len(self._streams)

    def __iter__(self) -> Iterator[Stream]:
        return iter(list(self._streams.values()))

    def _committed(self, stream: str, seq: int) -> None:
        live = self._streams[stream]
        readers = live.readers
        if len(readers) == 1:
            readers[0].advance()
        else:
            for reader in tuple(readers):  # one that ends leaves the list
                reader.advance()
        if live.producer.ended and not live.readers:
            self.forget(live)

    def _passed(self, stream: str) -> int:
        live = self._streams.get(stream)
        if live is None or not live.readers:
            return _EVERYTHING
        if len(live.readers) == 1:
            return live.readers[0].seq
        return min(reader.seq for reader in live.readers)
