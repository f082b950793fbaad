"""Looks at a gateway of several processes from outside: which there are, and which has a connection."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.chat_stream import body_for
from tests.gateway import Gateway, eventually
from tests.raw_http import RawConnection, request_bytes


def workers_of(gateway: Gateway) -> list[int]:
    """The pids of the workers, in the order of their start."""
    if not Path("/proc/self/task").exists():
        pytest.skip("which processes there are is read from /proc, which this system does not have")
    return [pid for pid in _children(gateway.pid) if b"workers.worker" in _command(pid)]


def engines_of(gateway: Gateway) -> list[int]:
    """The pids of local engines, whichever process started them."""
    children = [child for pid in (gateway.pid, *workers_of(gateway)) for child in _children(pid)]
    return [pid for pid in children if b"llama_child" in _command(pid)]


def _children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()]


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return b""


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def worker_of(gateway: Gateway, connection: RawConnection) -> int:
    """The pid of the worker that has the other end of a connection."""
    here, there = connection.socket.getsockname()[1], connection.socket.getpeername()[1]
    ends = (f"0100007F:{there:04X}", f"0100007F:{here:04X}")
    for line in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]:
        fields = line.split()
        if (fields[1], fields[2]) == ends:
            socket = f"socket:[{fields[9]}]"
            for pid in workers_of(gateway):
                if socket in _descriptors(pid):
                    return pid
    raise AssertionError("no worker has this connection")


def _descriptors(pid: int) -> set[str]:
    found = set()
    for each in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.add(os.readlink(each))
        except FileNotFoundError:
            continue
    return found


def connect_to(gateway: Gateway, worker: int) -> RawConnection:
    """A connection that this worker has accepted."""
    kept: list[RawConnection] = []

    def found() -> bool:
        connection = RawConnection(gateway.address)
        kept.append(connection)
        connection.send(request_bytes("GET", "/healthz"))
        assert connection.read_response("GET").status == 200
        return worker_of(gateway, connection) == worker

    eventually(found, "this worker accepts a connection", 20)
    wanted = kept.pop()
    for each in kept:
        each.close()
    return wanted


def ask(connection: RawConnection, model: str = "m", **headers: str) -> None:
    """Ask for a streamed answer."""
    body = body_for(model=model)
    connection.send(request_bytes("POST", "/v1/chat/completions", body, headers))
