"""Whatever comes to pass around a stream while a relay stands, its answer is what it is without one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.loops import on_both_loops, until
from tests.net.parts import REQUEST, request, self_signed, served
from tests.streams.parts import END, header, texts
from tests.streams.passage import HEAD, LAST_CHUNK, STREAM, Passage, body_of, both_ways, chunked
from tests.streams.test_relay import plainly, said
from tidegate.net import Address, Pool
from tidegate.streams import relay

pytestmark = pytest.mark.skipif(
    not relay.COMPILED, reason="it was installed without a compiler, so there are no relays"
)

WORDS = [f" word{number}" for number in range(60)]
READS = [HEAD, *map(chunked, said("chat", plainly(WORDS))), LAST_CHUNK]


def _pass_by(passage: Passage, count: int) -> None:
    """Streams that begin and end beside this one, and are not needed any more."""
    log = passage.streams.log
    for number in range(count):
        name = f"{number:032x}"
        log.create(header(name))
        log.follow(name, lambda _: None)
        log.append(name, 1, texts("x" * 400))
        log.append(name, 1, [END])
        log.delete(name)


@pytest.mark.parametrize("between", [0, 1, 7])
def test_its_records_are_copied_behind_the_rest(between: int) -> None:
    """With ``between`` reads after each step of the copying. Relays stand before and after it."""
    coming = [*map(chunked, said("chat", plainly(f" word{number}" for number in range(700)))), LAST_CHUNK]

    def course(passage: Passage) -> None:
        left = iter(coming)
        passage.read(HEAD, *(next(left) for _ in range(600)))
        assert passage.folder is not None
        first = passage.folder / "00000000.log"
        stood, relays = [passage.steady], passage.relays
        while not works:  # as soon as that is worth it
            _pass_by(passage, 1)
        assert first.exists()
        steps = 0
        while next(works[0], None) is None and works[0].gi_frame is not None:  # type: ignore[attr-defined]
            steps += 1
            stood.append(passage.steady)
            passage.read(*(next(left) for _ in range(between)))
            stood.append(passage.steady)
        assert steps >= 2
        assert not first.exists()
        works.clear()
        passage.read(*(next(left) for _ in range(40)))
        assert passage.steady == stood[0] == (passage.relays > relays)
        assert not any(stood[1:])
        passage.read(*left)
        passage.seen.append(passage.streams.log.read(STREAM, 0, 1 << 40))

    works: list[Iterator[None]] = []
    with_relays, without, passed = both_ways(course, on_disk=True, segment_bytes=2000, in_steps=works.append)
    assert with_relays == without
    assert with_relays.complete
    assert passed > 300


async def _through(address: Address, asks: asyncio.Semaphore, *, reloaded: bool) -> bytes:
    """What a client gets of an answer that comes over real sockets, a read each time that it ``asks``."""
    pool = Pool(asyncio.get_running_loop().time)
    passage = Passage()
    connection = await pool.connect(address, 5)
    call = passage.call
    call._connection, call._server = connection, replace(call._server, address=address, pool=pool)
    exchange = asyncio.create_task(call.exchange([REQUEST]))
    transport = connection._transport
    assert transport is not None
    stood = due = 0

    def came() -> bool:
        return passage.producer.deltas >= min(due - 1, len(WORDS) + 1)  # the first frame says nothing

    for due in range(len(READS) - 1):
        asks.release()
        await until(came)
        stood += transport.get_protocol() is not connection
        if reloaded and due == len(READS) // 2:  # as a reload does to the pools of the settings before
            assert transport.get_protocol() is not connection
            pool.close()
    asks.release()
    await exchange
    await until(lambda: connection.closed if reloaded else connection.idle)
    assert stood > 40
    assert reloaded or transport.get_protocol() is connection
    assert pool.take(address) is (None if reloaded else connection), "it carries the next exchange"
    transport.abort()
    body, complete = body_of(bytes(passage.client.written))
    assert complete
    return body


@pytest.mark.parametrize("reloaded", [False, True])
@pytest.mark.parametrize("tls", [False, True])
def test_over_real_sockets(
    tls: bool, reloaded: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also through TLS, and while the settings that its connection was made by are replaced."""
    _, unrelayed, _ = both_ways(lambda passage: passage.read(*READS), on_disk=False)
    context = None
    if tls:
        certificate, context = self_signed(tmp_path)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    @on_both_loops
    async def test() -> None:
        asks = asyncio.Semaphore(0)

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await request(reader)
            for data in READS:
                await asks.acquire()
                writer.write(data)
            await reader.read()

        async with served(serve, tls=context) as address:
            body = await _through(Address("localhost", address.port, tls=tls), asks, reloaded=reloaded)
            assert body == unrelayed.body
        await until(lambda: len(asyncio.all_tasks()) == 1)  # it has been archived

    test()
