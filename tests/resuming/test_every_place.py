"""A stream is read on from every place of it, in every dialect: the same bytes as without a break."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.gateway import Gateway
from tests.raw_http import Response, fetch
from tests.resuming.asking import (
    IDS,
    RICH,
    WAYS,
    Array,
    Asking,
    Sse,
    Way,
    numbered,
    plain,
    stream_id,
    with_ids,
)
from tests.script import Script
from tests.upstream import Upstream
from tidegate.dialects import load_shown

COUNTED = [pytest.param(way, id=name) for name, way in WAYS.items() if way.counted]
ALL = [pytest.param(way, id=name) for name, way in WAYS.items()]


@pytest.mark.parametrize("way", COUNTED)
def test_frames_have_ids_where_they_are_asked_for(gateway: Gateway, upstream: Upstream, way: Way) -> None:
    upstream.play(way.upstream, way.upstream)
    bare, marked = way.ask(gateway.address), way.ask(gateway.address, IDS)
    assert not [line for line in bare.body.split(b"\n") if line.startswith(b"id: ")]
    assert len(plain(numbered(marked.body))) == len(bare.body)


@pytest.mark.parametrize("way", COUNTED)
def test_the_rest_is_the_same_after_every_event_and_frame(
    gateway: Gateway, upstream: Upstream, way: Way
) -> None:
    upstream.play(way.upstream)
    first = way.ask(gateway.address, IDS)
    frames = numbered(first.body)
    last = frames[-1].seq
    with Asking(gateway.address, stream_id(first)) as asking:
        for seq in range(last):
            rest = [each for each in frames if each.seq > seq]
            response = asking.get(f"?after={seq}")
            assert response.head.get("content-type") == first.head.get("content-type")
            assert response.body == plain(rest)
        for at, each in enumerate(frames[:-1], 1):
            assert asking.get(f"?after={each.cursor}").body == plain(frames[at:])
            again = asking.get("?after=1", IDS | {"Last-Event-ID": each.cursor})
            assert again.body == with_ids(frames[at:])
        assert asking.get().body == plain(frames)


@pytest.mark.parametrize("way", ALL)
def test_the_rest_is_the_same_behind_every_number_of_frames(
    gateway: Gateway, upstream: Upstream, way: Way
) -> None:
    upstream.play(way.upstream)
    first = way.ask(gateway.address)
    frames = (Sse() if way.counted else Array()).frames(first.body)
    with Asking(gateway.address, stream_id(first)) as asking:
        for count in range(len(frames)):
            response = asking.get(f"?skip={count}")
            assert response.body == b"".join(frames[count:])
            assert response.head.get("content-type") == first.head.get("content-type")
        assert asking.get(f"?skip={len(frames)}").status == 204


@pytest.mark.parametrize("name", [*WAYS, "anythingllm", "events"])
def test_it_is_read_in_any_other_dialect(gateway: Gateway, upstream: Upstream, name: str) -> None:
    upstream.play(WAYS["messages"].upstream)
    first = WAYS["messages"].ask(gateway.address)
    dialect = WAYS[name].dialect if name in WAYS else name
    with Asking(gateway.address, stream_id(first)) as asking:
        whole = asking.get(f"?dialect={dialect}", IDS)
        frames = numbered(whole.body)
        for seq in range(frames[-1].seq):
            assert asking.get(f"?after={seq}&dialect={dialect}").body == plain(
                [each for each in frames if each.seq > seq]
            )
        for count in range(len(frames)):
            assert asking.get(f"?skip={count}&dialect={dialect}").body == plain(frames[count:])
    assert load_shown(dialect).name == dialect


def test_events_are_told_with_their_numbers(gateway: Gateway, upstream: Upstream) -> None:
    upstream.play(WAYS["chat"].upstream)
    name = stream_id(WAYS["chat"].ask(gateway.address))
    with Asking(gateway.address, name) as asking:
        body = asking.get("?dialect=events").body
        assert body.startswith(b'data: {"seq":1,"event":"start"')
        assert b'data: {"seq":4,"event":"text","text":"One","block":1}\n\n' in body
        assert body.count(b"\n\n") == body.count(b'"seq":')
        assert b'"event":"end","outcome":"completed"' in body.split(b"\n\n")[-2]
        whole = asking.get("?dialect=events&stream=false")
        assert [each["seq"] for each in whole.json["data"]] == list(range(1, body.count(b"\n\n") + 1))


@pytest.mark.parametrize("way", ALL)
def test_an_answer_that_was_asked_for_whole_is_streamed_and_a_stream_told_whole(
    gateway: Gateway, upstream: Upstream, way: Way
) -> None:
    if way.dialect == "gemini":
        pytest.skip("which of the two is said in the path")
    upstream.play(way.upstream, way.upstream)
    whole, streamed = way.ask(gateway.address, stream=False), way.ask(gateway.address)
    for response in (whole, streamed):
        with Asking(gateway.address, stream_id(response)) as asking:
            told = asking.get("?stream=false")
            assert told.head.get("content-type") == whole.head.get("content-type")
            assert timeless(told, response) == timeless(whole, whole)
            shown = asking.get("?stream=true", {"Accept": "application/json"})
            assert shown.head.get("content-type") == "text/event-stream; charset=utf-8"
            assert shown.body == asking.get("?after=0").body


def timeless(told: Response, of: Response) -> bytes:
    """What is the same in two answers that began at different seconds."""
    body = told.body.replace(stream_id(of).encode(), b"ID")
    return re.sub(rb'"(created|created_at|completed_at)":\d+', rb'"\1":0', body)


def test_curl_reads_the_stream_on(gateway: Gateway, upstream: Upstream) -> None:
    upstream.play(WAYS["chat"].upstream)
    first = WAYS["chat"].ask(gateway.address)
    url = f"{gateway.url}/v1/streams/{stream_id(first)}?skip=3"
    printed = subprocess.run(["curl", "-sSN", url], capture_output=True, check=True, timeout=20).stdout
    assert printed == b"".join(Sse().frames(first.body)[3:])


def test_it_is_read_at_every_spelling_of_its_path(gateway: Gateway, upstream: Upstream) -> None:
    upstream.play(WAYS["chat"].upstream)
    first = WAYS["chat"].ask(gateway.address)
    name = stream_id(first)
    for path in (f"/streams/{name}", f"//v1//streams/{name}/", f"/v1/streams/{name}?x=1"):
        response = fetch(gateway.address, "GET", path)
        assert (response.status, response.body) == (200, first.body)
        assert response.head.get("tidegate-stream") == name


def test_a_response_is_streamed_again_behind_a_number_of_its_sequence(
    gateway: Gateway, upstream: Upstream
) -> None:
    script: Script = WAYS["responses"].upstream
    upstream.play(script)
    first = WAYS["responses"].ask(gateway.address)
    frames = Sse().frames(first.body)
    for number, _ in enumerate(frames[:-1]):
        path = f"/v1/responses/resp_{stream_id(first)}?stream=true&starting_after={number}"
        assert fetch(gateway.address, "GET", path).body == b"".join(frames[number + 1 :])
    missing = fetch(gateway.address, "GET", "/v1/responses/resp_no?stream=true")
    assert (missing.status, missing.json["error"]["message"]) == (
        404,
        "Response with id 'resp_no' not found.",
    )
    assert len(RICH) < len(frames)
