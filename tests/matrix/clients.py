"""Owns the clients of the matrix: a request and the strict reading of an answer, in each dialect."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, Protocol

from tests.chat_stream import parse as parse_chat
from tests.matrix.answer import Answer
from tests.raw_http import Response

Json = dict[str, Any]

QUESTION: Final = "What is the weather?"
NEXT: Final = "And then?"
PARAMETERS: Final[Json] = {"type": "object", "properties": {"city": {"type": "string"}}}


class Client(Protocol):
    def path(self, model: str, *, stream: bool) -> str: ...

    def body(self, model: str, scenario: str, *, stream: bool) -> Json: ...

    def stream(self, response: Response) -> Answer: ...

    def whole(self, value: Any) -> Answer: ...

    def again(self, model: str, value: Any) -> Json:
        """A request for the next turn after a whole answer: its calls get results, and a question follows."""
        ...

    def refusal(self, value: Any) -> str:
        """The words of an error response, whose envelope is checked."""
        ...


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


class Chat:
    def path(self, model: str, *, stream: bool) -> str:
        return "/v1/chat/completions"

    def body(self, model: str, scenario: str, *, stream: bool) -> Json:
        function = {"name": "get_weather", "parameters": PARAMETERS}
        other = {"name": "get_time", "parameters": PARAMETERS}
        tools = [{"type": "function", "function": each} for each in (function, other)]
        body: Json = {"model": model, "messages": [{"role": "user", "content": QUESTION}], "stream": stream}
        return {**body, "max_tokens": 100, "tools": tools} if scenario == "tools" else body

    def stream(self, response: Response) -> Answer:
        read = parse_chat(response)
        names = {call["index"]: call["function"]["name"] for call in read.tool_deltas() if "id" in call}
        calls = [(names[index], text) for index, text in sorted(read.arguments().items())]
        answer = Answer(read.text(), read.text(name="reasoning_content"), calls)
        details = [each["delta"].get("reasoning_details") or [] for each in read.choices()]
        answer.signatures = [one["signature"] for each in details for one in each if one.get("signature")]
        if read.error is not None:
            answer.error = read.failed()["message"]
            return answer
        [answer.reason] = read.succeeded().finishes()
        answer.ended = True
        return answer

    def whole(self, value: Any) -> Answer:
        [choice] = value["choices"]
        message = choice["message"]
        calls = [
            (each["function"]["name"], each["function"]["arguments"])
            for each in message.get("tool_calls", [])
        ]
        details = message.get("reasoning_details") or []
        return Answer(
            message["content"] or "",
            message.get("reasoning_content", ""),
            calls,
            choice["finish_reason"],
            signatures=[each["signature"] for each in details if each.get("signature")],
            output_tokens=value["usage"]["completion_tokens"],
            ended=True,
        )

    def again(self, model: str, value: Any) -> Json:
        message = value["choices"][0]["message"]
        results = [
            {"role": "tool", "tool_call_id": call["id"], "content": f"result {at}"}
            for at, call in enumerate(message.get("tool_calls", []))
        ]
        body = self.body(model, "tools", stream=False)
        return {**body, "messages": [*body["messages"], message, *results, {"role": "user", "content": NEXT}]}

    def refusal(self, value: Any) -> str:
        assert {"message", "type", "param", "code"} <= value["error"].keys()
        return str(value["error"]["message"])


class Messages:
    _REASONS: Final = {"end_turn": "stop", "max_tokens": "length", "tool_use": "tool_calls"}

    def path(self, model: str, *, stream: bool) -> str:
        return "/v1/messages"

    def body(self, model: str, scenario: str, *, stream: bool) -> Json:
        tools = [{"name": name, "input_schema": PARAMETERS} for name in ("get_weather", "get_time")]
        body: Json = {"model": model, "max_tokens": 100, "stream": stream}
        body["messages"] = [{"role": "user", "content": QUESTION}]
        return {**body, "tools": tools} if scenario == "tools" else body

    def stream(self, response: Response) -> Answer:
        answer, blocks, open_index = Answer(), list[Json](), None
        values = [value for value in events(response) if value["type"] != "ping"]
        if values[0]["type"] != "error":
            assert values[0]["type"] == "message_start"
            assert values[0]["message"]["usage"].keys() >= {"input_tokens", "output_tokens"}
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
                case "message_delta":
                    assert open_index is None
                    answer.reason = self._REASONS[value["delta"]["stop_reason"]]
                    answer.output_tokens = value["usage"]["output_tokens"]
                case "message_stop":
                    assert answer.reason is not None
                    answer.ended = True
                case "error":
                    answer.error = self.refusal(value)
                    assert value is values[-1]
                case other:
                    raise AssertionError(f"an event of the type {other}")
        for block in blocks:
            if block["type"] == "tool_use" and answer.error is None:
                block["input"] = json.loads(block["json"] or "{}")
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
                case "tool_use":
                    answer.calls.append((block["name"], block.get("json") or json.dumps(block["input"])))

    def whole(self, value: Any) -> Answer:
        assert value["type"] == "message"
        answer = Answer(reason=self._REASONS[value["stop_reason"]], ended=True)
        answer.output_tokens = value["usage"]["output_tokens"]
        self._fill(answer, value["content"])
        return answer

    def again(self, model: str, value: Any) -> Json:
        calls = [block for block in value["content"] if block["type"] == "tool_use"]
        results = [
            {"type": "tool_result", "tool_use_id": call["id"], "content": f"result {at}"}
            for at, call in enumerate(calls)
        ]
        turn = {"role": "user", "content": [*results, {"type": "text", "text": NEXT}]}
        body = self.body(model, "tools", stream=False)
        said = {"role": "assistant", "content": value["content"]}
        return {**body, "messages": [*body["messages"], said, turn]}

    def refusal(self, value: Any) -> str:
        assert value["type"] == "error"
        assert value["error"].keys() >= {"type", "message"}
        return str(value["error"]["message"])


class Responses:
    def path(self, model: str, *, stream: bool) -> str:
        return "/v1/responses"

    def body(self, model: str, scenario: str, *, stream: bool) -> Json:
        names = ("get_weather", "get_time")
        tools = [{"type": "function", "name": name, "parameters": PARAMETERS} for name in names]
        body: Json = {"model": model, "input": QUESTION, "stream": stream, "store": False}
        return {**body, "tools": tools} if scenario == "tools" else body

    def stream(self, response: Response) -> Answer:
        values = events(response)
        assert [value["sequence_number"] for value in values] == list(range(len(values)))
        kinds = [value["type"] for value in values]
        texts: dict[str, str] = {}
        for value in values:
            if value["type"].endswith(".delta"):
                assert value["item_id"] in texts
                texts[value["item_id"]] += value["delta"]
            elif value["type"] == "response.output_item.added":
                assert value["output_index"] == len(texts)
                texts[value["item"]["id"]] = ""
            elif value["type"] == "response.output_item.done":
                assert texts[value["item"]["id"]] in json.dumps(value["item"], ensure_ascii=False) or texts
        last = values[-1]
        if last["type"] in ("response.completed", "response.incomplete"):
            assert kinds[:2] == ["response.created", "response.in_progress"]
            answer = self.whole(last["response"])
            shown = answer.thinking + answer.text + "".join(text for _, text in answer.calls)
            assert "".join(texts.values()) == shown
            return answer
        answer = Answer(text="".join(texts.values()))
        assert last["type"] == "response.failed"
        assert last["response"]["status"] == "failed"
        answer.error = last["response"]["error"]["message"]
        return answer

    def whole(self, value: Any) -> Answer:
        assert value["object"] == "response"
        answer = Answer(ended=True)
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
        answer.reason = "tool_calls" if answer.calls else "stop"
        if value["status"] == "incomplete":
            assert value["incomplete_details"] == {"reason": "max_output_tokens"}
            answer.reason = "length"
        answer.output_tokens = value["usage"]["output_tokens"]
        return answer

    def again(self, model: str, value: Any) -> Json:
        calls = [item for item in value["output"] if item["type"] == "function_call"]
        results = [
            {"type": "function_call_output", "call_id": call["call_id"], "output": f"result {at}"}
            for at, call in enumerate(calls)
        ]
        turns = [{"role": "user", "content": QUESTION}, *value["output"], *results]
        body = self.body(model, "tools", stream=False)
        return {**body, "input": [*turns, {"role": "user", "content": NEXT}]}

    def refusal(self, value: Any) -> str:
        assert {"message", "type", "param", "code"} <= value["error"].keys()
        return str(value["error"]["message"])


class Gemini:
    _REASONS: Final = {"STOP": "stop", "MAX_TOKENS": "length"}

    def path(self, model: str, *, stream: bool) -> str:
        verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
        return f"/v1beta/models/{model}:{verb}"

    def body(self, model: str, scenario: str, *, stream: bool) -> Json:
        names = ("get_weather", "get_time")
        tools = [{"functionDeclarations": [{"name": name, "parameters": PARAMETERS} for name in names]}]
        body: Json = {"contents": [{"role": "user", "parts": [{"text": QUESTION}]}]}
        return {**body, "tools": tools} if scenario == "tools" else body

    def stream(self, response: Response) -> Answer:
        assert response.status == 200, response.body
        assert response.body.isascii()
        answer = Answer()
        for block in response.body.decode().split("\n\n"):
            if block.startswith("data: "):
                assert not answer.ended or "usageMetadata" in block
                self._add(answer, json.loads(block.removeprefix("data: ")))
        return answer

    def _add(self, answer: Answer, value: Json) -> None:
        if "error" in value:
            answer.error = self.refusal(value)
            return
        for candidate in value.get("candidates", []):
            for part in candidate.get("content", {}).get("parts", []):
                if "functionCall" in part:
                    call = part["functionCall"]
                    answer.calls.append((call["name"], json.dumps(call["args"])))
                elif part.get("thought"):
                    answer.thinking += part["text"]
                else:
                    answer.text += part.get("text", "")
                if part.get("thoughtSignature"):
                    answer.signatures.append(part["thoughtSignature"])
            if candidate.get("finishReason"):
                answer.reason = self._REASONS[candidate["finishReason"]]
                answer.reason = "tool_calls" if answer.calls and answer.reason == "stop" else answer.reason
                answer.ended = True
        if "usageMetadata" in value:
            answer.output_tokens = value["usageMetadata"]["candidatesTokenCount"]

    def whole(self, value: Any) -> Answer:
        answer = Answer()
        self._add(answer, value)
        return answer

    def again(self, model: str, value: Any) -> Json:
        content = value["candidates"][0]["content"]
        calls = [part["functionCall"] for part in content["parts"] if "functionCall" in part]
        results: list[Json] = [
            {"functionResponse": {"name": call["name"], "response": {"output": f"result {at}"}}}
            for at, call in enumerate(calls)
        ]
        turn = {"role": "user", "parts": [*results, {"text": NEXT}]}
        body = self.body(model, "tools", stream=False)
        return {**body, "contents": [*body["contents"], content, turn]}

    def refusal(self, value: Any) -> str:
        assert value["error"].keys() >= {"code", "message", "status"}
        return str(value["error"]["message"])


CLIENTS: Final[Mapping[str, Client]] = {
    "openai-chat": Chat(),
    "openai-responses": Responses(),
    "anthropic-messages": Messages(),
    "gemini": Gemini(),
}
