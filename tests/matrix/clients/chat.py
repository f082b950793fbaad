"""Owns a client of OpenAI Chat."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from tests.chat_stream import is_keep_alive, payloads
from tests.chat_stream import parse as parse_chat
from tests.matrix.answer import Answer
from tests.matrix.clients.api import NAMES, NEXT, PARAMETERS, QUESTION, WITH_TOOLS, Json
from tests.raw_http import Response


def signatures(details: Iterable[Json]) -> list[str]:
    """Of what is signed, and of what is redacted."""
    return [each.get("signature") or each["data"] for each in details if "data" in each or each["signature"]]


class Chat:
    several = "n"

    def path(self, model: str, *, stream: bool) -> str:
        return "/v1/chat/completions"

    def body(self, model: str, scenario: str, *, stream: bool) -> Json:
        tools = [{"type": "function", "function": {"name": each, "parameters": PARAMETERS}} for each in NAMES]
        body: Json = {"model": model, "messages": [{"role": "user", "content": QUESTION}], "stream": stream}
        if stream:
            body["stream_options"] = {"include_usage": True}
        return {**body, "max_tokens": 100, "tools": tools} if scenario == WITH_TOOLS else body

    def asking_for(self, count: int, body: Json) -> Json:
        return {**body, "n": count}

    def stream(self, response: Response) -> Answer:
        read = parse_chat(response)
        opened: dict[int, Json] = {}
        for call in read.tool_deltas():
            if "id" in call:
                assert call["index"] == len(opened), "indices are contiguous, and each call is opened once"
                opened[call["index"]] = call
            else:
                assert call["function"].keys() == {"arguments"}, "id, type and name come once"
                assert call["function"]["arguments"], "an empty piece of arguments"
        calls = [(opened[at]["function"]["name"], text) for at, text in sorted(read.arguments().items())]
        answer = Answer(read.text(), read.text(name="reasoning_content"), calls)
        answer.ids = [call["id"] for call in opened.values()]
        details = [each["delta"].get("reasoning_details") or [] for each in read.choices()]
        answer.signatures = signatures(one for each in details for one in each)
        if read.error is not None:
            answer.error = read.failed()["message"]
            return answer
        [answer.reason] = read.succeeded().finishes()
        for index in range(1, 1 + max(each["index"] for one in read.chunks for each in one["choices"])):
            [reason] = read.finishes(index)
            answer.others.append((read.text(index), reason))
        answer.counted = len(read.usages)
        assert read.chunks[-1]["choices"] == [], "the counts come last, in a chunk of their own"
        self._count(answer, read.usages[-1])
        answer.ended = True
        return answer

    def whole(self, value: Any) -> Answer:
        choice, *others = value["choices"]
        message = choice["message"]
        told = message.get("tool_calls", [])
        details = message.get("reasoning_details") or []
        answer = Answer(
            message["content"] or "",
            message.get("reasoning_content", ""),
            [(each["function"]["name"], each["function"]["arguments"]) for each in told],
            choice["finish_reason"],
            signatures=signatures(details),
            counted=1,
            ended=True,
            ids=[each["id"] for each in told],
            others=[(each["message"]["content"], each["finish_reason"]) for each in others],
        )
        self._count(answer, value["usage"])
        return answer

    def _count(self, answer: Answer, usage: Json) -> None:
        answer.input_tokens, answer.output_tokens = usage["prompt_tokens"], usage["completion_tokens"]
        assert usage["total_tokens"] == answer.input_tokens + answer.output_tokens

    def again(self, model: str, value: Any) -> Json:
        message = value["choices"][0]["message"]
        results = [
            {"role": "tool", "tool_call_id": call["id"], "content": f"result {at}"}
            for at, call in enumerate(message.get("tool_calls", []))
        ]
        body = self.body(model, WITH_TOOLS, stream=False)
        return {**body, "messages": [*body["messages"], message, *results, {"role": "user", "content": NEXT}]}

    def refusal(self, value: Any) -> str:
        assert {"message", "type", "param", "code"} <= value["error"].keys()
        return str(value["error"]["message"])

    def beats(self, body: bytes) -> int:
        return sum(is_keep_alive(json.loads(each)) for each in payloads(body) if each != "[DONE]")
