"""What becomes of a run whose readers leave, or that is stopped: what it asked ends with it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.agents.tutorial import SECTIONS, WHOLE, section_asked_for, tutorial
from tests.chat import DONE, chunk, frame, text_chunks
from tests.chat_stream import body_for, parse
from tests.gateway import Gateway
from tests.raw_http import RawConnection, fetch, request_bytes
from tests.script import End, Gate, Head, Script, Send, Stall, WaitFor
from tests.upstream import Request, Upstream

STALLED = "First queries"


def stalled(request: Request) -> Script:
    if section_asked_for(request) == STALLED:
        return [Head(), Send(frame(chunk(SECTIONS[STALLED][0]))), Stall()]
    return tutorial(request)


def begin(gateway: Gateway, headers: Mapping[str, str]) -> tuple[RawConnection, str]:
    """A client that has read into the section which does not end, and its stream."""
    connection = RawConnection(gateway.address)
    body = body_for("Write a tutorial about MySQL", model="write_tutorial")
    connection.send(request_bytes("POST", "/v1/chat/completions", body, headers))
    stream = connection.read_head().get("tidegate-stream")
    assert stream is not None
    read = b""
    for data in connection.chunks():
        read += data
        if b"Type:" in read:
            break
    return connection, stream


def stalled_request(upstream: Upstream) -> Request:
    return next(each for each in upstream.requests if section_asked_for(each) == STALLED)


def test_leaving_cancels_what_was_asked_where_the_client_says_so(
    gateway: Gateway, upstream: Upstream
) -> None:
    upstream.answer = stalled
    connection, stream = begin(gateway, {"Tidegate-On-Disconnect": "cancel"})
    connection.close()
    stalled_request(upstream).connection.wait_closed(1.0)
    answer = parse(fetch(gateway.address, "GET", f"/v1/streams/{stream}"))
    assert answer.failed()["type"] == "cancelled"


def test_a_stop_from_anywhere_cancels_what_was_asked(gateway: Gateway, upstream: Upstream) -> None:
    upstream.answer = stalled
    connection, stream = begin(gateway, {})
    assert fetch(gateway.address, "DELETE", f"/v1/streams/{stream}").json["status"] == "cancelled"
    stalled_request(upstream).connection.wait_closed(1.0)
    connection.close()


def test_a_run_goes_on_without_its_client(gateway: Gateway, upstream: Upstream) -> None:
    goes_on = Gate()

    def waiting(request: Request) -> Script:
        if section_asked_for(request) != STALLED:
            return tutorial(request)
        first, *rest = [Send(frame(each)) for each in text_chunks(SECTIONS[STALLED], role=False)]
        return [Head(), first, WaitFor(goes_on), *rest, Send(DONE), End()]

    upstream.answer = waiting
    connection, stream = begin(gateway, {})
    connection.close()
    goes_on.open()
    assert parse(fetch(gateway.address, "GET", f"/v1/streams/{stream}")).succeeded().text() == WHOLE


@pytest.mark.parametrize("path", ["skip=3", "after=4", "dialect=anthropic-messages"])
def test_a_run_is_resumed_anywhere_in_any_dialect(gateway: Gateway, upstream: Upstream, path: str) -> None:
    upstream.answer = tutorial
    whole = fetch(gateway.address, "POST", "/v1/chat/completions", body_for("MySQL", model="write_tutorial"))
    stream = whole.head.get("tidegate-stream")
    again = fetch(gateway.address, "GET", f"/v1/streams/{stream}?{path}")
    assert again.status == 200
    assert again.body.endswith(b'"message_stop"}\n\n' if "dialect" in path else whole.body[-200:])
