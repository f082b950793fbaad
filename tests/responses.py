"""Owns the Responses API as an upstream speaks it: events, scripts, and the strict reading of a stream."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

from tests.raw_http import Address, Response, fetch
from tests.script import Close, End, Head, Send, Step

Json = dict[str, Any]

USAGE: Final[Json] = {
    "input_tokens": 11,
    "input_tokens_details": {"cached_tokens": 5},
    "output_tokens": 7,
    "output_tokens_details": {"reasoning_tokens": 2},
    "total_tokens": 18,
}


class Events:
    """Builds the events of one answer, numbered, with its items in the order in which they are added."""

    def __init__(self) -> None:
        self.said: list[Json] = []
        self.output: list[Json] = []
        for kind in ("created", "in_progress"):
            self.say(f"response.{kind}", response=self._response("in_progress"))

    def say(self, kind: str, **members: Any) -> None:
        self.said.append({"type": kind, "sequence_number": len(self.said), **members})

    def _response(self, status: str, **members: Any) -> Json:
        head = {"id": "resp_upstream", "object": "response", "created_at": 1_700_000_000, "model": "mock"}
        return {**head, "status": status, "output": list(self.output), "usage": None, **members}

    def text(self, pieces: Iterable[str], *, done: bool = True) -> Events:
        """A message of one text."""
        place = {"item_id": "msg_up", "output_index": len(self.output)}
        part: Json = {"type": "output_text", "annotations": [], "logprobs": [], "text": ""}
        item: Json = {"id": "msg_up", "type": "message", "role": "assistant", "content": []}
        begun = {**item, "status": "in_progress"}
        self.say("response.output_item.added", output_index=place["output_index"], item=begun)
        self.say("response.content_part.added", **place, content_index=0, part=part)
        text = ""
        for piece in pieces:
            text += piece
            padding = "x" * (16 - len(piece) % 16)
            members = {"content_index": 0, "delta": piece, "logprobs": [], "obfuscation": padding}
            self.say("response.output_text.delta", **place, **members)
        if done:
            part = {**part, "text": text}
            self.say("response.output_text.done", **place, content_index=0, text=text, logprobs=[])
            self.say("response.content_part.done", **place, content_index=0, part=part)
            self._done({**item, "status": "completed", "content": [part]})
        return self

    def call(self, name: str, pieces: Iterable[str], *, call_id: str, done: bool = True) -> Events:
        """A call of a function."""
        index, item_id = len(self.output), f"fc_up{len(self.output)}"
        item: Json = {"id": item_id, "type": "function_call", "name": name, "call_id": call_id}
        begun = {**item, "status": "in_progress", "arguments": ""}
        self.say("response.output_item.added", output_index=index, item=begun)
        text = ""
        for piece in pieces:
            text += piece
            kind = "response.function_call_arguments.delta"
            self.say(kind, item_id=item_id, output_index=index, delta=piece)
        if done:
            kind = "response.function_call_arguments.done"
            self.say(kind, item_id=item_id, output_index=index, arguments=text, name=name)
            self._done({**item, "status": "completed", "arguments": text})
        return self

    def reasoning(self, pieces: Iterable[str], encrypted: str) -> Events:
        """A summary of reasoning, and what only the upstream can read of it."""
        place = {"item_id": "rs_up", "output_index": len(self.output), "summary_index": 0}
        item: Json = {"id": "rs_up", "type": "reasoning", "summary": []}
        self.say("response.output_item.added", output_index=place["output_index"], item=item)
        part = {"type": "summary_text", "text": ""}
        self.say("response.reasoning_summary_part.added", **place, part=part)
        for piece in pieces:
            self.say("response.reasoning_summary_text.delta", **place, delta=piece)
        part = {**part, "text": "".join(pieces)}
        self.say("response.reasoning_summary_text.done", **place, text=part["text"])
        self.say("response.reasoning_summary_part.done", **place, part=part)
        self._done({**item, "summary": [part], "encrypted_content": encrypted})
        return self

    def _done(self, item: Json) -> None:
        self.say("response.output_item.done", output_index=len(self.output), item=item)
        self.output.append(item)

    def ended(self, status: str = "completed", **members: Any) -> list[Json]:
        """All events, with the last one."""
        self.say(f"response.{status}", response=self._response(status, usage=USAGE, **members))
        return self.said


def frame(event: Json) -> bytes:
    data = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
    return f"event: {event['type']}\ndata: {data}\n\n".encode()


def frames(events: Iterable[Json]) -> bytes:
    return b"".join(frame(event) for event in events)


def stream(events: Iterable[Json]) -> list[Step]:
    """A streamed answer that ends well, every event in a write of its own."""
    return [Head(), *(Send(frame(event)) for event in events), End()]


def broken_off(events: Iterable[Json], *last: Step) -> list[Step]:
    """A streamed answer that ends badly."""
    return [Head(), *(Send(frame(event)) for event in events), *(last or (Close(),))]


def ask(address: Address, path: str = "/v1/responses", **members: Any) -> Response:
    """One request for a streamed answer."""
    body = {"model": "m", "input": "Hello", "stream": True, **members}
    return fetch(address, "POST", path, body)


def events_of(body: bytes) -> list[Json]:
    """The events of a stream, keep-alives left out; framing, names and numbers must be right."""
    assert body.isascii()
    assert b"\r" not in body
    assert body == b"" or body.endswith(b"\n\n")
    found: list[Json] = []
    for block in body.decode("ascii").split("\n\n")[:-1]:
        name, data = block.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        if event["type"] == "keepalive":
            assert event["sequence_number"] == len(found) - 1, "a keep-alive has no number of its own"
            continue
        assert event["sequence_number"] == len(found)
        found.append(event)
    return found


_BEGINS: Final = ["response.created", "response.in_progress"]
TERMINALS: Final = ("response.completed", "response.incomplete", "response.failed")


def check_lifecycle(events: Sequence[Json]) -> Json:
    """Whether a stream is what the documentation says it must be; gives its last response object."""
    assert [event["type"] for event in events[:2]] == _BEGINS
    ids = {event["response"]["id"] for event in events if "response" in event}
    assert len(ids) == 1
    assert [event["type"] in TERMINALS for event in events].count(True) == 1
    last = events[-1]
    assert last["type"] in TERMINALS
    items: dict[int, Json] = {}
    told: dict[int, list[str]] = {}  # what each part of an item was told
    done: set[int] = set()
    part_open = False
    for event in events[2:-1]:
        kind, index = event["type"], event.get("output_index", -1)
        if kind == "error":
            assert event is events[-2]
        elif kind == "response.output_item.added":
            assert index == len(items), "indices are contiguous"
            assert done == set(range(index)) or last["type"] != "response.completed"
            items[index], told[index] = event["item"], [""]
        elif kind == "response.output_item.done":
            assert not part_open
            assert event["item"]["id"] == items[index]["id"]
            done.add(index)
        else:
            assert index in items
            assert index not in done
            assert event["item_id"] == items[index]["id"]
            if kind.endswith("_part.added"):
                assert not part_open
                part_open = True
                told[index].append("")
            elif kind.endswith("_part.done"):
                assert part_open
                part_open = False
            elif kind.endswith(".delta"):
                assert event["delta"] or event.get("logprobs"), "an empty delta"
                assert part_open or items[index]["type"].endswith("_call")
                told[index][-1] += event["delta"]
    response: Json = last["response"]
    assert response["status"] == last["type"].removeprefix("response.")
    if last["type"] == "response.completed":
        assert done == set(items)
        assert [item["id"] for item in response["output"]] == [items[at]["id"] for at in sorted(items)]
    for index, item in enumerate(response["output"]):
        # Halves of an emoji in one part become one on their way through JSON.
        assert content_of(item) == "".join(json.loads(json.dumps(told[index])))
    return response


def content_of(item: Json) -> str:
    """All text of an item."""
    if item["type"] == "function_call":
        return str(item["arguments"])
    if item["type"] == "custom_tool_call":
        return str(item["input"])
    parts = [*item.get("summary", ()), *(item.get("content") or ())]
    return "".join(part.get("text", part.get("refusal")) for part in parts)
