"""Owns a client of Anthropic Messages."""

from __future__ import annotations

import json
from itertools import groupby
from typing import Any, Final

from tests.matrix.answer import Answer
from tests.matrix.clients.api import NAMES, NEXT, PARAMETERS, QUESTION, WITH_TOOLS, Json
from tests.raw_http import Response


def events(response: Response) -> list[Json]:
    """The events of a stream in which every event has a name, which is also its type."""
    assert response.status == 200, response.body
    assert (response.head.get("content-type") or "").startswith("text/event-stream")
    assert response.body.isascii()
    assert response.body.endswith(b"\n\n")
    found = []
    for block in response.body.decode().split("\n\n")[:-1]:
        name, data = block.split("\n")
        value = json.loads(data.removeprefix("data: "))
        assert name == f"event: {value['type']}"
        found.append(value)
    return found


class Messages:
    several = None
    _REASONS: Final = {"end_turn": "stop", "max_tokens": "length", "tool_use": "tool_calls"}

    def path(self, model: str, *, stream: bool) -> str:
        return "/v1/messages"

    def body(self, model: str, scenario: str, *, stream: bool) -> Json:
        tools = [{"name": name, "input_schema": PARAMETERS} for name in NAMES]
        body: Json = {"model": model, "max_tokens": 100, "stream": stream}
        body["messages"] = [{"role": "user", "content": QUESTION}]
        return {**body, "tools": tools} if scenario == WITH_TOOLS else body

    def asking_for(self, count: int, body: Json) -> Json:
        return body

    def stream(self, response: Response) -> Answer:
        answer, blocks, open_index = Answer(), list[Json](), None
        values = [value for value in events(response) if value["type"] != "ping"]
        answer.kinds = [kind for kind, _ in groupby(value["type"] for value in values)]
        if values[0]["type"] != "error":
            assert values[0]["type"] == "message_start"
            self._count(answer, values[0]["message"]["usage"])
        for value in values[1:] if values[0]["type"] == "message_start" else values:
            assert not answer.ended, "something follows the end"
            match value["type"]:
                case "content_block_start":
                    assert open_index is None
                    assert value["index"] == len(blocks)
                    open_index = value["index"]
                    blocks.append({**value["content_block"], "json": ""})
                case "content_block_delta":
                    assert value["index"] == open_index
                    self._delta(blocks[-1], value["delta"])
                case "content_block_stop":
                    assert value["index"] == open_index
                    open_index = None
                    if blocks[-1]["type"] == "tool_use":
                        answer.complete.append(blocks[-1]["name"])
                case "message_delta":
                    assert open_index is None
                    self._count(answer, value["usage"])
                    if value["delta"].get("stop_reason") is not None:  # else counts alone, which add up
                        answer.reason = self._REASONS[value["delta"]["stop_reason"]]
                        answer.counted += 1
                case "message_stop":
                    assert answer.reason is not None
                    answer.ended = True
                case "error":
                    answer.error = self.refusal(value)
                    assert value is values[-1]
                case other:
                    raise AssertionError(f"an event of the type {other}")
        self._fill(answer, blocks)
        return answer

    def _delta(self, block: Json, delta: Json) -> None:
        kind = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "thinking"}
        assert block["type"] == kind.get(delta["type"], "tool_use")
        match delta["type"]:
            case "text_delta":
                block["text"] += delta["text"]
            case "thinking_delta":
                block["thinking"] += delta["thinking"]
            case "signature_delta":
                block["signature"] = delta["signature"]
            case _:
                assert delta["partial_json"], "an empty piece of arguments"
                block["json"] += delta["partial_json"]

    def _fill(self, answer: Answer, blocks: list[Json]) -> None:
        for block in blocks:
            match block["type"]:
                case "text":
                    answer.text += block["text"]
                case "thinking":
                    answer.thinking += block["thinking"]
                    answer.signatures += [block["signature"]] if block["signature"] else []
                case "redacted_thinking":
                    answer.signatures.append(block["data"])
                case "tool_use":
                    assert isinstance(block["input"], dict)
                    answer.ids.append(block["id"])
                    answer.calls.append((block["name"], block.get("json") or json.dumps(block["input"])))

    def whole(self, value: Any) -> Answer:
        assert value["type"] == "message"
        answer = Answer(reason=self._REASONS[value["stop_reason"]], counted=1, ended=True)
        self._count(answer, value["usage"])
        self._fill(answer, value["content"])
        return answer

    def _count(self, answer: Answer, usage: Json) -> None:
        assert usage.keys() >= {"output_tokens"}
        answer.output_tokens = usage["output_tokens"]
        answer.input_tokens = usage.get("input_tokens", answer.input_tokens)
        assert answer.input_tokens is not None

    def again(self, model: str, value: Any) -> Json:
        calls = [block for block in value["content"] if block["type"] == "tool_use"]
        results = [
            {"type": "tool_result", "tool_use_id": call["id"], "content": f"result {at}"}
            for at, call in enumerate(calls)
        ]
        turn = {"role": "user", "content": [*results, {"type": "text", "text": NEXT}]}
        body = self.body(model, WITH_TOOLS, stream=False)
        said = {"role": "assistant", "content": value["content"]}
        return {**body, "messages": [*body["messages"], said, turn]}

    def refusal(self, value: Any) -> str:
        assert value["type"] == "error"
        assert value["error"].keys() >= {"type", "message"}
        return str(value["error"]["message"])

    def beats(self, body: bytes) -> int:
        return body.count(b"event: ping\n")
