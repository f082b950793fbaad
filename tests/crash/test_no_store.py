"""A disk without room, a database that is locked or damaged: who asks is told, and streams go on."""

from __future__ import annotations

import re
import resource
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests import forked
from tests.chat import frame, text_chunks, text_stream
from tests.chat_stream import LiveAnswer, body_for, parse, post_chat
from tests.crash.killing import keyed
from tests.fixtures import StartGateway
from tests.gateway import clean_environment, gateway_config
from tests.raw_http import fetch
from tests.script import End, Gate, Head, Send, WaitFor
from tests.upstream import Upstream
from tests.wire.test_ledger import row_of

GARBAGE = b"this was a database once " * 4000


def refused_start(folder: Path) -> str:
    """What `tidegate serve` says when it does not start."""
    environment = {**clean_environment(), "TIDEGATE_HOME": str(folder)}
    done = forked.run(["serve", "--port", "0"], folder, environment)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.timeout(120)
def test_a_locked_database_stops_no_stream(upstream: Upstream, start_gateway: StartGateway) -> None:
    gateway = start_gateway(gateway_config(upstream.url))
    gate = Gate()
    script = text_stream(["one ", "two"])
    upstream.play([*script[:3], WaitFor(gate), *script[3:]])
    with LiveAnswer(gateway.address, body_for()) as running:
        running.read_past("one")
        other = sqlite3.connect(gateway.folder / "tidegate.db", isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        refused = post_chat(gateway.address, body_for(), keyed("locked"), timeout=20)
        assert refused.status == 503
        assert refused.json["error"]["type"] == "store_error"
        assert "locked by another program" in refused.json["error"]["message"]
        parse(post_chat(gateway.address, body_for())).succeeded()  # nothing of it needs the store yet
        gate.open()
        assert running.rest().succeeded().text() == "one two"
        other.execute("ROLLBACK")
        other.close()
    parse(post_chat(gateway.address, body_for(), keyed("locked"))).succeeded()


@pytest.mark.timeout(120)
def test_a_gateway_says_why_it_cannot_start(tmp_path: Path) -> None:
    damaged, taken = tmp_path / "damaged", tmp_path / "taken"
    for folder in (damaged, taken):
        folder.mkdir()
    (damaged / "tidegate.db").write_bytes(GARBAGE)
    (taken / "streams").write_bytes(b"a file where the folder should be")
    with ThreadPoolExecutor(2) as both:
        of_damaged, of_taken = both.map(refused_start, (damaged, taken))
    assert "is damaged, or no SQLite database; move it away" in of_damaged
    assert "set TIDEGATE_HOME to a folder that can be written" in of_taken


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="another process can be limited on Linux only")
def test_a_full_disk_is_told_and_others_go_on_when_there_is_room(
    upstream: Upstream, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(gateway_config(upstream.url))
    gate = Gate()
    script = text_stream(["one ", "two ", "three"])
    upstream.play([*script[:3], WaitFor(gate), *script[3:]])
    with LiveAnswer(gateway.address, body_for()) as running:
        running.read_past("one")
        (segment,) = (gateway.folder / "streams").glob("*/*.log")
        limits = resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, (segment.stat().st_size, limits[1]))
        refused = post_chat(gateway.address, body_for())
        assert refused.status == 507
        assert "make room in TIDEGATE_HOME" in refused.json["error"]["message"]
        gate.open()
        failed = running.rest()
        assert "make room in TIDEGATE_HOME" in failed.failed()["message"]
        assert failed.text() == "one "
    resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, limits)
    parse(post_chat(gateway.address, body_for())).succeeded()
    stream = failed.response.head.get("tidegate-stream")
    assert "make room in TIDEGATE_HOME" in str(
        gateway.get(f"/v1/streams/{stream}", {"Accept": "application/json"})
    )


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="another process can be limited on Linux only")
def test_an_end_that_the_disk_refused_is_a_failure_in_the_ledger_too(
    upstream: Upstream, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(gateway_config(upstream.url))
    gate = Gate()
    words = text_chunks(["one ", "two"])
    at_once = b"".join(frame(each) for each in words[2:]) + b"data: [DONE]\n\n"
    upstream.play([Head(), *(Send(frame(each)) for each in words[:2]), WaitFor(gate), Send(at_once), End()])
    with LiveAnswer(gateway.address, body_for()) as running:
        running.read_past("one")
        (segment,) = (gateway.folder / "streams").glob("*/*.log")
        limits = resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, (segment.stat().st_size, limits[1]))
        gate.open()
        failed = running.rest()
        assert "make room in TIDEGATE_HOME" in failed.failed()["message"]
        resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, limits)
        assert row_of(gateway, running.head.get("tidegate-stream")).outcome == "failed"
    metrics = fetch(gateway.address, "GET", "/metrics").body.decode()
    assert re.search(r'gen_ai_server_request_duration_seconds_count\{[^}]*error_type="507"', metrics)
