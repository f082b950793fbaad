"""A stream waits for a person and goes on with what they say."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from anthropic import Anthropic
from openai import OpenAI

from tests.agents.asking import asked, asking_home, question_of, reading, send, with_agents
from tests.chat_stream import parse, payloads
from tests.crash.killing import Home, crash_config
from tests.gateway import Gateway, eventually
from tests.raw_http import fetch, request_bytes
from tests.upstream import Upstream
from tests.workers.processes import connect_to, workers_of
from tidegate.client import AsyncClient, Client, Item, RequestRefused

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def home(_shared_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with asking_home(tmp_path_factory.mktemp("asking") / "home", crash_config(_shared_upstream)) as made:
        yield made


def whole(home: Home, stream: str) -> str:
    return parse(fetch(home.gateway.address, "GET", f"/v1/streams/{stream}")).succeeded().text()


def refused(home: Home, stream: str, answer: Any, status: int) -> dict[str, Any]:
    response = send(home.gateway, stream, answer)
    assert response.status == status, response.body
    error: dict[str, Any] = response.json["error"]
    return error


def begun_items(body: bytes) -> list[dict[str, Any]]:
    """The values of the items that came so far."""
    whole_frames = body[: body.rfind(b"\n\n") + 2]
    deltas = [json.loads(each)["choices"][0]["delta"] for each in payloads(whole_frames)]
    return [delta["tidegate"]["value"] for delta in deltas if "tidegate" in delta]


def test_an_answer_goes_on_with_the_stream(home: Home) -> None:
    begun = reading(home, "asks-name", "What is your name?")
    [question] = asked(home.gateway, begun.stream)
    assert question["url"] == f"/v1/streams/{begun.stream}/input"
    assert (question["kind"], question["about"]) == ("text", {"field": "name"})
    response = send(home.gateway, begun.stream, {"text": "Ada"})
    assert (response.status, response.json["id"]) == (200, question["id"])
    begun.ended()
    assert whole(home, begun.stream) == "Welcome. Hello Ada."
    assert asked(home.gateway, begun.stream) == []


def test_the_question_is_told_to_programs_and_to_people(home: Home) -> None:
    begun = reading(home, "asks-name", "What is your name?")
    question = question_of(home.gateway, begun.stream, "What is your name?")
    send(home.gateway, begun.stream, {"text": "Ada"})
    begun.ended()
    answer = parse(fetch(home.gateway.address, "GET", f"/v1/streams/{begun.stream}"))
    told = [choice["delta"]["tidegate"] for choice in answer.choices() if "tidegate" in choice["delta"]]
    assert told == [
        {"kind": "input_required", "value": question},
        {"kind": "input_received", "value": {"id": question["id"], "input": "Ada"}},
    ]
    assert f"What is your name? (to be answered at {question['url']})" in answer.text(
        name="reasoning_content"
    )


@pytest.mark.parametrize(("answer", "text"), [(True, "Done."), (False, "Left alone.")])
def test_an_approval_is_given_or_denied(home: Home, answer: bool, text: str) -> None:
    begun = reading(home, "asks-leave", "May I?")
    assert send(home.gateway, begun.stream, {"approve": answer}).status == 200
    begun.ended()
    assert whole(home, begun.stream) == text


def test_an_answer_in_a_form_is_a_value_of_its_type(home: Home) -> None:
    begun = reading(home, "asks-trip", "Where to?")
    assert asked(home.gateway, begun.stream)[0]["schema"]["required"] == ["town", "nights"]
    error = refused(home, begun.stream, {"input": {"town": "Ely", "nights": "two"}}, 400)
    assert "'nights' must be of type integer" in error["message"]
    assert send(home.gateway, begun.stream, {"input": {"town": "Ely", "nights": 2}}).status == 200
    begun.ended()
    assert whole(home, begun.stream) == "2 nights in Ely."


@pytest.mark.parametrize(
    "answer",
    [b"nonsense", b"[]", {}, {"text": "yes", "approve": True}, {"text": 3}, {"text": "yes"}, {"input": 1}],
)
def test_what_does_not_fit_is_refused_and_the_question_stays(home: Home, answer: Any) -> None:
    begun = reading(home, "asks-leave", "May I?")
    refused(home, begun.stream, answer, 400)
    assert len(asked(home.gateway, begun.stream)) == 1
    send(home.gateway, begun.stream, {"input": True})
    begun.ended()


def test_nothing_is_answered_that_is_not_asked(home: Home) -> None:
    begun = reading(home, "asks-leave", "May I?")
    assert refused(home, begun.stream, {"id": "input_0", "approve": True}, 409)["code"] == "nothing_asked"
    send(home.gateway, begun.stream, {"approve": True})
    assert refused(home, begun.stream, {"approve": True}, 409)["code"] == "nothing_asked"
    begun.ended()
    assert refused(home, "0" * 32, {"approve": True}, 404)["code"] == "stream_not_found"


def test_an_agent_goes_on_when_nobody_answers_in_time(home: Home) -> None:
    begun = reading(home, "asks-briefly", "Quick!")
    begun.has('"kind":"input_expired"')
    late = next(told["id"] for told in begun_items(begun.body) if told.get("question") == "Quick!")
    assert refused(home, begun.stream, {"id": late, "text": "x"}, 410)["code"] == "input_expired"
    question_of(home.gateway, begun.stream, "Once more?")
    send(home.gateway, begun.stream, {"text": "Now."})
    begun.ended()
    assert whole(home, begun.stream) == "Too late. Now."


def test_the_time_of_the_agent_does_not_run_while_a_person_thinks(home: Home) -> None:
    begun = reading(home, "asks-in-a-hurry", "Well?")
    expires = asked(home.gateway, begun.stream)[0]["expires_at"]
    began = expires - 24 * 3600
    eventually(lambda: time.time() > began + 0.7, "more than the time of the agent has passed")
    assert send(home.gateway, begun.stream, {"text": "hm"}).status == 200
    begun.ended()
    assert whole(home, begun.stream) == "You said hm."


def test_a_stream_that_is_cancelled_waits_for_nobody(home: Home) -> None:
    begun = reading(home, "asks-leave", "May I?")
    fetch(home.gateway.address, "DELETE", f"/v1/streams/{begun.stream}")
    begun.ended()
    assert asked(home.gateway, begun.stream) == []
    refused(home, begun.stream, {"approve": True}, 409)


def test_the_client_gets_the_question_and_answers_it(home: Home) -> None:
    client = Client(home.gateway.url)
    with client.stream(model="asks-trip", messages="go") as stream:
        question = next(event for event in stream if isinstance(event, Item))
        assert (question.kind, question.value["question"]) == ("input_required", "Where to?")
        with pytest.raises(RequestRefused, match="does not fit"):
            client.send_input(stream.stream_id or "", "Ely")
        client.send_input(
            stream.stream_id or "", value={"town": "Ely", "nights": 2}, question=question.value["id"]
        )
        assert stream.collect().text == "2 nights in Ely."


def test_the_client_that_awaits_does_so_too(home: Home) -> None:
    async def talk() -> str:
        client = AsyncClient(home.gateway.url)
        async with client.stream(model="asks-leave", messages="go") as stream:
            async for event in stream:
                if isinstance(event, Item) and event.kind == "input_required":
                    await client.send_input(stream.stream_id or "", approve=True)
            return stream.answer().text

    assert asyncio.run(talk()) == "Done."


def test_only_the_owner_of_the_stream_answers(upstream: Upstream, tmp_path: Path) -> None:
    config = crash_config(upstream, auth={"list": ["key-of-one", "key-of-another"]})
    gateway = Gateway(with_agents(tmp_path / "home"), config)
    try:
        with Client(gateway.url, "key-of-one").stream(model="asks-leave", messages="go") as stream:
            next(event for event in stream if isinstance(event, Item))
            name, answer = stream.stream_id or "", {"approve": True}
            another = {"Authorization": "Bearer key-of-another"}
            assert send(gateway, name, answer).status == 401
            other = send(gateway, name, answer, another)
            assert (other.status, other.json["error"]["code"]) == (403, "not_your_stream")
            assert send(gateway, name, answer, {"Authorization": "Bearer key-of-one"}).status == 200
            assert stream.collect().text == "Done."
    finally:
        gateway.stop()


def test_any_of_several_workers_takes_an_answer(upstream: Upstream, tmp_path: Path) -> None:
    gateway = Gateway(
        with_agents(tmp_path / "home"), crash_config(upstream), ("--port", "0", "--workers", "2")
    )
    try:
        with Client(gateway.url).stream(model="asks-twice", messages="go") as stream:
            path = f"/v1/streams/{stream.stream_id}/input"
            for worker, words in zip(workers_of(gateway), ("First?", "Second?"), strict=True):
                next(event for event in stream if isinstance(event, Item) and event.value.get("question"))
                connection = connect_to(gateway, worker)  # one of the two has to hand it over
                for answer, status in (({"approve": True}, 400), ({"text": words}, 200)):
                    connection.send(request_bytes("POST", path, answer))
                    assert connection.read_response("POST").status == status
                connection.close()
            assert stream.collect().text == "First? and Second?."
    finally:
        gateway.stop()


def test_the_question_of_an_agent_within_comes_through(home: Home) -> None:
    with Client(home.gateway.url).stream(model="asks-through", messages="go") as stream:
        began = time.monotonic()
        question = next(event for event in stream if isinstance(event, Item)).value
        eventually(lambda: time.monotonic() > began + 0.7, "more than the time of the agent has passed")
        inner = question["url"].split("/")[3]
        assert send(home.gateway, inner, {"approve": True}).status == 200
        assert stream.collect().text == "Done."


# The official SDKs, while a question is open


def answering(home: Home, answer: Any) -> Callable[[str], None]:
    """Answers the question of a stream that is being read."""

    def act(stream: str) -> None:
        question_of(home.gateway, stream, "May I?")
        assert send(home.gateway, stream, answer).status == 200

    return act


def test_the_sdk_of_openai_waits_and_reads_on(home: Home) -> None:
    act = answering(home, {"approve": True})
    with OpenAI(base_url=home.gateway.base_url, api_key="none", max_retries=0, timeout=20) as sdk:
        ask: Any = {"model": "asks-leave", "stream": True}
        with sdk.chat.completions.with_streaming_response.create(
            messages=[{"role": "user", "content": "go"}], **ask
        ) as response:
            name = response.headers["tidegate-stream"]
            act(name)
            chunks = list(response.parse())
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Done."
        with sdk.responses.with_streaming_response.create(input="go", **ask) as response:
            act(response.headers["tidegate-stream"])
            events: list[Any] = list(response.parse())
        assert events[-1].response.output_text == "Done."
        kinds = [event.tidegate["kind"] for event in events if getattr(event, "tidegate", None)]
        assert kinds == ["input_required", "input_received"]


def test_the_sdk_of_anthropic_waits_and_reads_on(home: Home) -> None:
    act = answering(home, {"approve": True})
    with (
        Anthropic(base_url=home.gateway.url, api_key="none", max_retries=0, timeout=20) as sdk,
        sdk.messages.stream(
            model="asks-leave", max_tokens=99, messages=[{"role": "user", "content": "go"}]
        ) as stream,
    ):
        act(stream.response.headers["tidegate-stream"])
        assert "".join(stream.text_stream) == "Done."
