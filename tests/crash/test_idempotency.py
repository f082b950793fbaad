"""A request that is sent again with its Idempotency-Key buys nothing twice."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing
from typing import Any

import pytest

from tests.chat import broken_off, error, text_chunks, text_stream
from tests.chat_stream import LiveAnswer, body_for, parse, post_chat, start_chat
from tests.crash.killing import keyed
from tests.fixtures import StartGateway
from tests.gateway import Gateway, gateway_config
from tests.raw_http import Response, fetch
from tests.script import Gate, WaitFor
from tests.upstream import Upstream


def post(gateway: Gateway, key: str, content: str = "hi", **more: Any) -> Response:
    return post_chat(gateway.address, body_for(content, **more), keyed(key))


def test_a_repeat_is_answered_to_the_byte_from_what_was_said(gateway: Gateway, upstream: Upstream) -> None:
    first, again = post(gateway, "bytes"), post(gateway, "bytes")
    assert again.body == first.body
    assert again.head.get("tidegate-stream") == first.head.get("tidegate-stream")
    assert [each.head.get("idempotent-replayed") for each in (first, again)] == [None, "true"]
    assert len(upstream.requests) == 1


def test_so_is_one_that_does_not_stream(gateway: Gateway, upstream: Upstream) -> None:
    first, again = (post(gateway, "whole", stream=False) for _ in range(2))
    assert (first.status, again.body) == (200, first.body)
    assert len(upstream.requests) == 1


def test_a_repeat_joins_an_answer_that_is_under_way(gateway: Gateway, upstream: Upstream) -> None:
    gate = Gate()
    script = text_stream(["one ", "two ", "three"])
    upstream.play([*script[:3], WaitFor(gate), *script[3:]])
    with (
        LiveAnswer(gateway.address, body_for(), keyed("joined")) as first,
        LiveAnswer(gateway.address, body_for(), keyed("joined")) as second,
    ):
        first.read_past("one")
        second.read_past("one")
        gate.open()
        bodies = [each.rest().succeeded().response.body for each in (first, second)]
    assert bodies[0] == bodies[1]
    assert len(upstream.requests) == 1


def test_a_repeat_that_leaves_while_its_key_is_looked_up_harms_nobody(
    gateway: Gateway, upstream: Upstream
) -> None:
    gates = Gate(), Gate()
    script = text_stream(["one ", "two ", "three"])
    upstream.play([*script[:3], WaitFor(gates[0]), script[3], WaitFor(gates[1]), *script[4:]])
    with LiveAnswer(gateway.address, body_for(), keyed("left early")) as first:
        first.read_past("one")
        with closing(sqlite3.connect(gateway.folder / "tidegate.db", isolation_level=None)) as store:
            store.execute("BEGIN IMMEDIATE")  # until this ends the key is not found
            start_chat(gateway.address, body_for(), keyed("left early")).close()
            fetch(gateway.address, "GET", "/healthz")  # is answered when it was seen to leave
            store.execute("ROLLBACK")
        fetch(gateway.address, "DELETE", "/v1/streams?idempotency_key=none")  # looked up behind it
        gates[0].open()
        first.read_past("two")
        gates[1].open()
        first.rest().succeeded()
    assert len(upstream.requests) == 1
    assert "a defect" not in (gateway.folder / "output.txt").read_text("utf-8")


@pytest.mark.parametrize("change", ["body", "path"])
def test_another_request_with_the_key_is_refused(gateway: Gateway, upstream: Upstream, change: str) -> None:
    key = f"reused with another {change}"
    body = body_for(max_tokens=100)  # a request in two dialects
    parse(post_chat(gateway.address, body, keyed(key))).succeeded()
    if change == "body":
        refused = post(gateway, key, "something else")
    else:
        refused = fetch(gateway.address, "POST", "/v1/messages", body, keyed(key))
    assert refused.status == 409
    assert refused.json["error"]["type"] == "conflict_error" or change == "path"
    assert "use a new key for a new request" in refused.json["error"]["message"]
    assert len(upstream.requests) == 1


def test_many_that_are_sent_at_once_buy_one_generation(gateway: Gateway, upstream: Upstream) -> None:
    answers: list[Response] = []
    threads = [threading.Thread(target=lambda: answers.append(post(gateway, "at once"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({answer.body for answer in answers}) == 1
    assert [parse(answer).succeeded().text() for answer in answers] == ["Hello world"] * 8
    assert len(upstream.requests) == 1


def test_two_callers_may_choose_the_same_key(upstream: Upstream, start_gateway: StartGateway) -> None:
    keys = {"keys": "required", "list": ["sk-one-0123456789abcdef", "sk-two-0123456789abcdef"]}
    gateway = start_gateway(gateway_config(upstream.url, auth=keys))
    streams = []
    for secret in keys["list"]:
        headers = {"Authorization": f"Bearer {secret}", **keyed("same")}
        answer = post_chat(gateway.address, body_for(), headers)
        parse(answer).succeeded()
        streams.append(answer.head.get("tidegate-stream"))
    assert len(set(streams)) == 2
    assert len(upstream.requests) == 2


def test_a_failure_that_showed_nothing_may_be_tried_again(gateway: Gateway, upstream: Upstream) -> None:
    upstream.play(error(500), error(503))
    assert [post(gateway, "failed").status for _ in range(2)] == [500, 503]
    parse(post(gateway, "failed")).succeeded()
    parse(post(gateway, "failed")).succeeded()
    assert len(upstream.requests) == 3


def test_a_failure_that_showed_something_is_told_again(gateway: Gateway, upstream: Upstream) -> None:
    upstream.play(broken_off(text_chunks(["shown "], finish=None)))
    first, again = post(gateway, "shown"), post(gateway, "shown")
    assert parse(first).failed() == parse(again).failed()
    assert again.body == first.body
    assert len(upstream.requests) == 1


def test_a_key_that_was_claimed_before_the_clock_was_set_back_is_answered(
    gateway: Gateway, upstream: Upstream
) -> None:
    """By a process that was killed before it began the stream."""
    first = post(gateway, "clock")
    with closing(sqlite3.connect(gateway.folder / "tidegate.db", timeout=10)) as store, store:
        an_hour_later = round(time.time() * 1000) + 3_600_000
        statement = "UPDATE claims SET created_ms = ?, stream = ? WHERE key = 'clock'"
        assert store.execute(statement, (an_hour_later, "f" * 32)).rowcount == 1
    again = post(gateway, "clock")
    parse(again).succeeded()
    assert again.head.get("tidegate-stream") != first.head.get("tidegate-stream")


def test_whoever_leaves_does_not_stop_what_can_be_asked_for_again(
    gateway: Gateway, upstream: Upstream
) -> None:
    gate = Gate()
    script = text_stream(["one ", "two"])
    upstream.play([*script[:3], WaitFor(gate), *script[3:]])
    with LiveAnswer(gateway.address, body_for(), keyed("left")) as client:
        client.read_past("one")
    gate.open()
    assert parse(post_chat(gateway.address, body_for(), keyed("left"))).succeeded().text() == "one two"
    assert len(upstream.requests) == 1
