"""Connections are kept for the next request: the newest first, not too long, and only whole ones."""

from __future__ import annotations

import asyncio

from tests.loops import SkippingLoop, on_a_skipping_loop, on_both_loops, turns, until
from tests.net.parts import REQUEST, Heard, request, response, served
from tidegate.net import Address, Connection, Pool


class Counted:
    """A server that counts its connections, and what is asked on each."""

    def __init__(self, answer: bytes = b"") -> None:
        self.asked: list[int] = []
        self.closed = 0
        self._answer = answer or response(b"hello")

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len(self.asked)
        self.asked.append(0)
        try:
            while await request(reader):
                self.asked[number] += 1
                writer.write(self._answer)
        finally:
            self.closed += 1


async def ask(connection: Connection) -> Heard:
    heard = Heard()
    connection.send(REQUEST, heard)
    await heard.over.wait()
    return heard


async def connected(pool: Pool, address: Address, count: int) -> list[Connection]:
    """So many connections, each of which has carried an exchange."""
    connections = [await pool.connect(address, 5) for _ in range(count)]
    for connection in connections:
        await ask(connection)
    return connections


def pool_on(loop: asyncio.AbstractEventLoop) -> Pool:
    return Pool(loop.time)


@on_both_loops
async def test_an_empty_pool_has_none() -> None:
    assert pool_on(asyncio.get_running_loop()).take(Address("127.0.0.1", 1)) is None


@on_both_loops
async def test_the_connection_that_was_used_last_is_used_next() -> None:
    """So that the others can grow old and be closed."""
    pool = pool_on(asyncio.get_running_loop())
    async with served(server := Counted()) as address:
        first, second, third = await connected(pool, address, 3)
        for connection in (first, third, second):
            pool.release(address, connection)
        assert [pool.take(address) for _ in range(4)] == [second, third, first, None]
        for connection in (first, second, third):
            connection.abort()
        await until(lambda: server.closed == 3)


@on_both_loops
async def test_a_kept_connection_carries_the_next_exchange() -> None:
    pool = pool_on(asyncio.get_running_loop())
    async with served(server := Counted()) as address:
        [connection] = await connected(pool, address, 1)
        for number in range(2, 6):
            pool.release(address, connection)
            taken = pool.take(address)
            assert taken is connection
            assert (await ask(taken)).body == b"hello"
            assert server.asked == [number]
        pool.release(address, connection)
        pool.close()


@on_both_loops
async def test_addresses_are_apart() -> None:
    pool = pool_on(asyncio.get_running_loop())
    async with served(Counted()) as one, served(Counted()) as two:
        [mine] = await connected(pool, one, 1)
        pool.release(one, mine)
        assert pool.take(two) is None
        assert pool.take(Address(one.host, one.port, tls=True)) is None
        assert pool.statistics() == {str(one): 1}
        pool.close()


@on_both_loops
async def test_one_that_the_server_closes_is_not_kept() -> None:
    pool = pool_on(asyncio.get_running_loop())
    async with served(server := Counted(response(b"hello", "connection: close\r\n"))) as address:
        [connection] = await connected(pool, address, 1)
        pool.release(address, connection)
        assert pool.take(address) is None
        await until(lambda: server.closed == 1)


@on_both_loops
async def test_one_that_was_closed_while_it_was_idle_is_passed_over() -> None:
    pool = pool_on(asyncio.get_running_loop())

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(response(b"hello"))
        await leave.wait()

    leave = asyncio.Event()
    async with served(Counted()) as lasting, served(once) as address:
        [old] = await connected(pool, address, 1)
        pool.release(address, old)
        leave.set()
        await until(lambda: old.closed)
        assert pool.take(address) is None
        [kept] = await connected(pool, lasting, 1)
        pool.release(lasting, kept)
        assert pool.take(lasting) is kept
        kept.abort()


@on_both_loops
async def test_one_whose_answer_has_a_tail_is_kept_when_the_tail_has_come() -> None:
    pool = pool_on(asyncio.get_running_loop())
    go = asyncio.Event()

    async def slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")
        await go.wait()
        writer.write(b"0\r\n\r\n")
        await reader.read()

    async with served(slowly) as address:
        connection, heard = await pool.connect(address, 5), Heard()
        connection.send(REQUEST, heard)
        await until(lambda: heard.reads)
        pool.release(address, connection)
        assert pool.take(address) is None
        go.set()
        await until(lambda: connection.idle)
        assert pool.take(address) is connection
        connection.abort()


@on_a_skipping_loop
async def test_a_tail_that_does_not_come_is_given_up_after_a_second(loop: SkippingLoop) -> None:
    pool, closed = pool_on(loop), asyncio.Event()

    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")
        await reader.read()
        closed.set()

    async with served(never) as address:
        connection, heard = await pool.connect(address, 5), Heard()
        connection.send(REQUEST, heard)
        await until(lambda: heard.reads)
        pool.release(address, connection)
        loop.skip(0.9)
        await turns()
        assert not connection.closed
        loop.skip(0.2)
        await closed.wait()
        assert pool.take(address) is None


@on_a_skipping_loop
async def test_a_connection_that_is_busy_again_by_then_is_left_alone(loop: SkippingLoop) -> None:
    pool, go = pool_on(loop), asyncio.Event()

    async def slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")
        await go.wait()
        writer.write(b"0\r\n\r\n")
        await request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nagain\r\n")
        await reader.read()

    async with served(slowly) as address:
        connection, heard = await pool.connect(address, 5), Heard()
        connection.send(REQUEST, heard)
        await until(lambda: heard.reads)
        pool.release(address, connection)
        go.set()
        await until(lambda: connection.idle)
        assert pool.take(address) is connection
        again = Heard()
        connection.send(REQUEST, again)
        await until(lambda: again.reads)
        loop.skip(5)
        await turns()
        assert (connection.closed, again.error) == (False, None)
        connection.abort()


@on_a_skipping_loop
async def test_idle_connections_are_closed_before_servers_close_them(loop: SkippingLoop) -> None:
    pool = pool_on(loop)
    async with served(server := Counted()) as address:
        old, young = await connected(pool, address, 2)
        pool.release(address, old)
        loop.skip(30)
        await asyncio.sleep(0)
        pool.release(address, young)
        loop.skip(25)
        await until(lambda: server.closed == 1)
        assert (old.closed, young.closed) == (True, False)
        assert pool.statistics() == {str(address): 1}
        loop.skip(60)
        await until(lambda: server.closed == 2)
        assert pool.statistics() == {}
        assert pool.take(address) is None


@on_a_skipping_loop
async def test_use_keeps_a_connection_young(loop: SkippingLoop) -> None:
    pool = pool_on(loop)
    async with served(server := Counted()) as address:
        [connection] = await connected(pool, address, 1)
        for _ in range(5):
            pool.release(address, connection)
            loop.skip(40)
            await turns()
            assert pool.take(address) is connection
            await ask(connection)
        assert server.asked == [6]
        connection.abort()


@on_both_loops
async def test_a_closed_pool_keeps_nothing() -> None:
    pool = pool_on(asyncio.get_running_loop())
    async with served(server := Counted()) as address:
        kept, busy = await connected(pool, address, 2)
        pool.release(address, kept)
        pool.close()
        assert kept.closed
        pool.release(address, busy)
        assert busy.closed
        assert pool.take(address) is None
        await until(lambda: server.closed == 2)
