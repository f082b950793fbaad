"""Owns a client of OpenAI Responses."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from tests.matrix.answer import Answer
from tests.matrix.clients.api import NAMES, NEXT, PARAMETERS, QUESTION, WITH_TOOLS, Json
from tests.raw_http import Response
from tests.responses import check_lifecycle, events_of


class Responses:
    several = None

    def path(self, model: str, *, stream: bool) -> str:
        return "/v1/responses"

    def body(self, model: str, scenario: str, *, stream: bool) -> Json:
        tools = [{"type": "function", "name": name, "parameters": PARAMETERS} for name in NAMES]
        body: Json = {"model": model, "input": QUESTION, "stream": stream, "store": False}
        return {**body, "tools": tools} if scenario == WITH_TOOLS else body

    def asking_for(self, count: int, body: Json) -> Json:
        return body

    def stream(self, response: Response) -> Answer:
        assert response.status == 200, response.body
        assert (response.head.get("content-type") or "").startswith("text/event-stream")
        values = events_of(response.body)
        last = check_lifecycle(values)
        answer = self._shown(values) if last["status"] == "failed" else self.whole(last)
        answer.kinds = [kind for kind, _ in groupby(value["type"] for value in values)]
        done = [value["item"] for value in values if value["type"] == "response.output_item.done"]
        answer.complete = [item["name"] for item in done if item["type"] == "function_call"]
        if last["status"] == "failed":
            answer.error = last["error"]["message"]
            assert [value["message"] for value in values if value["type"] == "error"] == [answer.error]
        return answer

    def _shown(self, values: list[Json]) -> Answer:
        """What the deltas of a stream have said."""
        answer = Answer()
        items: dict[str, Json] = {}
        for value in values:
            if value["type"] == "response.output_item.added":
                items[value["item"]["id"]] = {**value["item"], "said": ""}
            elif value["type"].endswith(".delta"):
                items[value["item_id"]]["said"] += value["delta"]
        for item in items.values():
            if item["type"] == "function_call":
                answer.calls.append((item["name"], item["said"]))
            elif item["type"] == "reasoning":
                answer.thinking += item["said"]
            else:
                answer.text += item["said"]
        return answer

    def whole(self, value: Any) -> Answer:
        assert value["object"] == "response"
        answer = Answer(counted=1, ended=True)
        for item in value["output"]:
            match item["type"]:
                case "message":
                    answer.text += "".join(part["text"] for part in item["content"])
                case "reasoning":
                    parts = [*item["summary"], *item.get("content", [])]
                    answer.thinking += "".join(part["text"] for part in parts)
                    if item.get("encrypted_content"):
                        answer.signatures.append(item["encrypted_content"])
                case "function_call":
                    answer.calls.append((item["name"], item["arguments"]))
                    answer.ids.append(item["call_id"])
        answer.reason = "tool_calls" if answer.calls else "stop"
        if value["status"] == "incomplete":
            assert value["incomplete_details"] == {"reason": "max_output_tokens"}
            answer.reason = "length"
        usage = value["usage"]
        answer.input_tokens, answer.output_tokens = usage["input_tokens"], usage["output_tokens"]
        assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
        return answer

    def again(self, model: str, value: Any) -> Json:
        calls = [item for item in value["output"] if item["type"] == "function_call"]
        results = [
            {"type": "function_call_output", "call_id": call["call_id"], "output": f"result {at}"}
            for at, call in enumerate(calls)
        ]
        turns = [{"role": "user", "content": QUESTION}, *value["output"], *results]
        body = self.body(model, WITH_TOOLS, stream=False)
        return {**body, "input": [*turns, {"role": "user", "content": NEXT}]}

    def refusal(self, value: Any) -> str:
        assert {"message", "type", "param", "code"} <= value["error"].keys()
        return str(value["error"]["message"])

    def beats(self, body: bytes) -> int:
        return body.count(b"event: keepalive\n")
