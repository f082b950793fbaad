"""Owns a client of Gemini's own API."""

from __future__ import annotations

import json
from typing import Any, Final

from tests.matrix.answer import Answer
from tests.matrix.clients.api import NAMES, NEXT, PARAMETERS, QUESTION, WITH_TOOLS, Json
from tests.raw_http import Response


class Gemini:
    several = "candidateCount"
    _REASONS: Final = {"STOP": "stop", "MAX_TOKENS": "length"}

    def path(self, model: str, *, stream: bool) -> str:
        verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
        return f"/v1beta/models/{model}:{verb}"

    def body(self, model: str, scenario: str, *, stream: bool) -> Json:
        tools = [{"functionDeclarations": [{"name": name, "parameters": PARAMETERS} for name in NAMES]}]
        body: Json = {"contents": [{"role": "user", "parts": [{"text": QUESTION}]}]}
        return {**body, "tools": tools} if scenario == WITH_TOOLS else body

    def asking_for(self, count: int, body: Json) -> Json:
        return {**body, "generationConfig": {"candidateCount": count}}

    def stream(self, response: Response) -> Answer:
        assert response.status == 200, response.body
        assert response.body.isascii()
        answer, others = Answer(), dict[int, Answer]()
        *blocks, last = response.body.decode().split("\n\n")
        for block in blocks:
            assert block.startswith("data: ")
            assert "\n" not in block
            assert not answer.error, "something follows the error"
            self._add(answer, others, json.loads(block.removeprefix("data: ")))
        # The SDK for Python raises at an error in a frame, the one for JavaScript at one without.
        assert last == "" if answer.error is None else json.loads(last).keys() == {"error"}
        answer.others = [(each.text, each.reason) for _, each in sorted(others.items())]
        return answer

    def _add(self, answer: Answer, others: dict[int, Answer], value: Json) -> None:
        if "error" in value:
            answer.error = self.refusal(value)
            return
        for candidate in value.get("candidates", []):
            index = candidate["index"]
            self._candidate(others.setdefault(index, Answer()) if index else answer, candidate)
        if "usageMetadata" in value:
            usage = value["usageMetadata"]
            answer.input_tokens, answer.output_tokens = (
                usage["promptTokenCount"],
                usage["candidatesTokenCount"],
            )
            answer.counted += 1

    def _candidate(self, answer: Answer, candidate: Json) -> None:
        assert not answer.ended, "something follows the finish"
        for part in candidate.get("content", {}).get("parts", []):
            if "functionCall" in part:
                call = part["functionCall"]
                answer.calls.append((call["name"], json.dumps(call["args"])))
                answer.complete.append(call["name"])
                answer.ids += [call["id"]] if "id" in call else []
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

    def whole(self, value: Any) -> Answer:
        answer, others = Answer(), dict[int, Answer]()
        self._add(answer, others, value)
        answer.others = [(each.text, each.reason) for _, each in sorted(others.items())]
        return answer

    def again(self, model: str, value: Any) -> Json:
        content = value["candidates"][0]["content"]
        calls = [part["functionCall"] for part in content["parts"] if "functionCall" in part]
        results: list[Json] = [
            {"functionResponse": {"name": call["name"], "response": {"output": f"result {at}"}}}
            for at, call in enumerate(calls)
        ]
        turn = {"role": "user", "parts": [*results, {"text": NEXT}]}
        body = self.body(model, WITH_TOOLS, stream=False)
        return {**body, "contents": [*body["contents"], content, turn]}

    def refusal(self, value: Any) -> str:
        assert value["error"].keys() >= {"code", "message", "status"}
        return str(value["error"]["message"])

    def beats(self, body: bytes) -> int:
        values = [json.loads(each.removeprefix("data: ")) for each in body.decode().split("\n\n")[:-1]]
        found = [each["candidates"][0] for each in values if "candidates" in each]
        return sum(
            each["content"]["parts"] == [{"text": ""}] and "finishReason" not in each for each in found
        )
