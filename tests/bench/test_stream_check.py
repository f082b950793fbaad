"""The load generator notices every way in which a gateway can spoil a stream."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bench.harness import Harness, Load
from bench.systems import Endpoint
from tests.bench.conftest import needs_compiler

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
STOP = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
ERROR = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"error"}],"error":{}}\n\n'
DONE = b"data: [DONE]\n\n"
LAST_CHUNK = b"0\r\n\r\n"
REFUSAL = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy"
LOAD = Load(streams=1, interval_us=1000, deltas=3, ramp=0.01, settle=0.0, window=0.1, grace=5.0)


def stamp(number: int) -> bytes:
    return b"zQ%05dT%019dz" % (number, 1)


def delta(number: int) -> bytes:
    return b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % stamp(number)


def chunk(frame: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(frame), frame)


def stream(*frames: bytes) -> bytes:
    return HEAD + b"".join(map(chunk, frames)) + LAST_CHUNK


WHOLE = stream(delta(0), delta(1), delta(2), STOP, DONE)


@contextmanager
def answering(answer: bytes, piece: int = 1 << 16) -> Iterator[Endpoint]:
    """A server that gives each connection this answer, in pieces of so many bytes, and then hangs up."""

    class Answer(socketserver.StreamRequestHandler):
        disable_nagle_algorithm = True

        def handle(self) -> None:
            head = b"".join(iter(self.rfile.readline, b"\r\n"))
            length = next(line for line in head.splitlines() if line.lower().startswith(b"content-length:"))
            self.rfile.read(int(length.partition(b":")[2]))
            for start in range(0, len(answer), piece):
                self.wfile.write(answer[start : start + piece])

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield Endpoint(server.server_address[1])
        finally:
            server.shutdown()
            thread.join()


@needs_compiler
@pytest.mark.parametrize("piece", [1, 7, 1 << 16])
def test_whole_stream_is_good_however_it_is_cut(running_harness: Harness, piece: int) -> None:
    with answering(WHOLE, piece) as endpoint:
        reading = running_harness.run(endpoint, LOAD)
    assert (reading.good, reading.failures, reading.lost_deltas) == (1, 0, 0)


@needs_compiler
@pytest.mark.parametrize(
    ("answer", "kind", "lost"),
    [
        pytest.param(stream(delta(0), delta(2), STOP, DONE), "incomplete", 1, id="a delta lost"),
        pytest.param(stream(*map(delta, (0, 1, 1, 2)), STOP, DONE), "incomplete", 0, id="a delta twice"),
        pytest.param(stream(*map(delta, (0, 2, 1)), STOP, DONE), "disordered", 0, id="deltas swapped"),
        pytest.param(stream(*map(delta, range(3)), STOP), "unfinished", 0, id="no [DONE]"),
        pytest.param(stream(*map(delta, range(3)), DONE), "unfinished", 0, id="no finish_reason"),
        pytest.param(stream(*map(delta, range(3)), ERROR), "unfinished", 0, id="an error terminal"),
        pytest.param(stream(STOP, *map(delta, range(3)), DONE), "unfinished", 0, id="finish too early"),
        pytest.param(HEAD + chunk(delta(0)), "cut", 2, id="cut off"),
        pytest.param(b"", "cut", 3, id="hung up at once"),
        pytest.param(REFUSAL, "bad_status", 3, id="refused with a status"),
    ],
)
def test_spoiled_stream_is_noticed(
    running_harness: Harness, capsys: pytest.CaptureFixture[str], answer: bytes, kind: str, lost: int
) -> None:
    with answering(answer) as endpoint:
        reading = running_harness.run(endpoint, LOAD)
    assert getattr(reading, kind) == 1
    assert (reading.good, reading.failures) == (0, 1)
    assert reading.lost_deltas == lost
    assert ("busy" in capsys.readouterr().out) == (kind == "bad_status")
