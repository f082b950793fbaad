"""Workspaces that answer from their documents, through the real process and a scripted upstream."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest
import requests

from tests.chat import text_stream
from tests.gateway import Gateway, gateway_config
from tests.raw_http import fetch
from tests.upstream import Upstream

HARBOUR = (
    "# The harbour\n\nThe harbour of Varn opens at six in the morning. Ships longer than ninety metres need "
    "a pilot.\n\n## Fees\n\nThe mooring fee is forty crowns a night, and children of sailors pay nothing."
)
REFUSAL = "There is no relevant information in this workspace to answer your query."
ANSWER = ("It opens ", "at six.")


@pytest.fixture(scope="module")
def _gateway(tmp_path_factory: pytest.TempPathFactory, _shared_upstream: Upstream) -> Iterator[Gateway]:
    running = Gateway(tmp_path_factory.mktemp("answers"), gateway_config(_shared_upstream.url))
    yield running
    running.stop()


class Desk:
    """A caller of AnythingLLM's API with one workspace."""

    def __init__(self, gateway: Gateway, name: str, **settings: Any) -> None:
        self.gateway = gateway
        made = self.post("/workspace/new", name=name, **settings)["workspace"]
        self.slug: str = made["slug"]

    def post(self, path: str, **body: Any) -> Any:
        response = fetch(self.gateway.address, "POST", f"/api/v1{path}", body)
        assert response.status == 200, response
        return response.json

    def get(self, path: str) -> Any:
        response = fetch(self.gateway.address, "GET", f"/api/v1{path}")
        assert response.status == 200, response
        return response.json

    def add(self, text: str = HARBOUR, title: str = "Harbour guide") -> Any:
        told = self.post(
            "/document/raw-text", textContent=text, metadata={"title": title}, addToWorkspaces=self.slug
        )
        return told["documents"][0]

    def ask(self, message: str, path: str = "", **more: Any) -> list[dict[str, Any]]:
        """The frames of an answer, read as the naive client reads them."""
        url = f"http://{self.gateway.address[0]}:{self.gateway.address[1]}"
        with requests.post(
            f"{url}/api/v1/workspace/{self.slug}{path}/stream-chat",
            json={"message": message, "max_tokens": 100, "stream": True, **more},
            stream=True,
            timeout=20,
        ) as response:
            assert response.status_code == 200, response.text
            lines = [line.decode() for line in response.iter_lines() if line]
        return [json.loads(line.removeprefix("data: ")) for line in lines]

    def history(self, query: str = "") -> Any:
        return self.get(f"/workspace/{self.slug}/chats{query}")["history"]


@pytest.fixture
def desk(_gateway: Gateway, upstream: Upstream, request: pytest.FixtureRequest) -> Desk:
    upstream.answer = lambda _: text_stream(ANSWER)
    return Desk(_gateway, request.node.name[:60])


def said(frames: list[dict[str, Any]]) -> str:
    return "".join(frame.get("textResponse") or "" for frame in frames)


def system_of(upstream: Upstream) -> str:
    content = upstream.requests[-1].json["messages"][0]["content"]
    assert isinstance(content, str)
    return content


def test_a_question_is_answered_from_a_document(desk: Desk, upstream: Upstream) -> None:
    desk.add()
    frames = desk.ask("When does the harbour open?", mode="query")
    assert [frame["type"] for frame in frames] == [*["textResponseChunk"] * 3, "finalizeResponseStream"]
    assert said(frames) == "It opens at six."
    last = frames[-1]
    (source,) = [each for each in last["sources"] if "six in the morning" in each["text"]]
    assert source["title"] == "Harbour guide"
    assert 0.25 <= source["score"] <= 1
    assert last["metrics"]["total_tokens"] > 0
    system = system_of(upstream)
    assert "[CONTEXT 0]:\n" in system
    assert "six in the morning" in system
    user, assistant = desk.history()
    assert (user["content"], assistant["content"]) == ("When does the harbour open?", "It opens at six.")
    assert assistant["chatId"] == last["chatId"]
    assert assistant["sources"] == last["sources"]


def test_a_query_of_an_empty_workspace_is_refused_without_a_model(desk: Desk, upstream: Upstream) -> None:
    (frame,) = desk.ask("When?", mode="query")
    assert (frame["type"], frame["textResponse"], frame["close"]) == ("textResponse", REFUSAL, True)
    assert not upstream.requests
    assert desk.history() == []


def test_a_query_about_something_else_is_refused(desk: Desk, upstream: Upstream) -> None:
    desk.add()
    desk.post(f"/workspace/{desk.slug}/update", queryRefusalResponse="Nothing of that here.")
    (frame,) = desk.ask("Who won the chess tournament in Reykjavik?", mode="query")
    assert frame["textResponse"] == "Nothing of that here."
    assert not upstream.requests


def test_a_chat_needs_no_document(desk: Desk, upstream: Upstream) -> None:
    assert said(desk.ask("Hello?", mode="chat")) == "It opens at six."
    assert "CONTEXT" not in system_of(upstream)


def test_what_was_said_before_is_told_again(desk: Desk, upstream: Upstream) -> None:
    desk.ask("First?", mode="chat")
    desk.ask("Second?", mode="chat")
    roles = [(each["role"], each["content"]) for each in upstream.requests[-1].json["messages"][1:]]
    assert roles == [("user", "First?"), ("assistant", "It opens at six."), ("user", "Second?")]
    desk.ask("Third?", mode="chat", reset=True)
    assert len(upstream.requests[-1].json["messages"]) == 2


def test_sessions_and_threads_are_apart(desk: Desk, upstream: Upstream) -> None:
    thread = desk.post(f"/workspace/{desk.slug}/thread/new", name="T")["thread"]["slug"]
    desk.ask("Here?", mode="chat", sessionId="s1")
    desk.ask("There?", f"/thread/{thread}", mode="chat")
    desk.ask("Nowhere?", mode="chat")
    assert len(upstream.requests[-1].json["messages"]) == 2
    assert desk.history("?apiSessionId=s1")[0]["content"] == "Here?"
    kept = desk.get(f"/workspace/{desk.slug}/thread/{thread}/chats")["history"]
    assert kept[0]["content"] == "There?"


def test_a_reset_alone_is_told_so(desk: Desk) -> None:
    (frame,) = desk.ask("", reset=True)
    assert frame["textResponse"] == "Chat history was reset!"


def test_a_pinned_document_is_told_whole(desk: Desk, upstream: Upstream) -> None:
    document = desk.add()
    desk.post(f"/workspace/{desk.slug}/update-pin", docPath=document["location"], pinStatus=True)
    frames = desk.ask("Tell me about bicycles.", mode="query")
    assert "children of sailors pay nothing" in system_of(upstream)
    (source,) = frames[-1]["sources"]
    assert source["text"].endswith("...continued on in source document...")
    assert "score" not in source


def test_an_attached_document_is_read(desk: Desk, upstream: Upstream) -> None:
    attached = {
        "name": "note.txt",
        "mime": "application/anythingllm-document",
        "contentString": "data:text/plain;base64,VGhlIHBhc3N3b3JkIGlzIHN3b3JkZmlzaC4=",
    }
    desk.ask("What is the password?", mode="chat", attachments=[attached])
    assert "swordfish" in system_of(upstream)


def test_the_whole_answer_is_one_object(desk: Desk) -> None:
    desk.add()
    told = desk.post(f"/workspace/{desk.slug}/chat", message="When does the harbour open?", mode="query")
    assert list(told) == ["id", "type", "close", "error", "chatId", "textResponse", "sources", "metrics"]
    assert (told["textResponse"], told["close"], told["error"]) == ("It opens at six.", True, None)


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        ("/workspace/nowhere/stream-chat", 400, "Workspace nowhere is not a valid workspace."),
        ("/workspace/nowhere/chat", 400, "Workspace nowhere is not a valid workspace."),
        ("/workspace/nowhere/thread/t/chat", 404, "Workspace nowhere not found."),
        ("/workspace/nowhere/thread/t/stream-chat", 400, "Workspace nowhere or thread t is not valid."),
        ("/workspace/SLUG/thread/t/chat", 404, "Thread t not found."),
    ],
)
def test_what_is_not_there_is_told_in_its_words(desk: Desk, path: str, status: int, told: str) -> None:
    path = f"/api/v1{path.replace('SLUG', desk.slug)}"
    response = fetch(desk.gateway.address, "POST", path, {"message": "hi"})
    assert (response.status, response.json["type"], response.json["close"]) == (status, "abort", True)
    assert response.json["error"] == told


def test_the_openai_sdk_is_answered_with_citations(desk: Desk) -> None:
    desk.add()
    with openai.OpenAI(base_url=f"{desk.gateway.url}/v1", api_key="none") as client:
        model = f"workspace/{desk.slug}"
        question = "When does the harbour open?"
        answer = client.chat.completions.create(model=model, messages=[{"role": "user", "content": question}])
        message = answer.choices[0].message
        assert message.content == "It opens at six."
        assert message.annotations is not None
        assert message.annotations[0].url_citation.title == "Harbour guide"
        response = client.responses.create(model=model, input=question)
    part: Any = response.output[-1]
    citation = part.content[0].annotations[0]
    assert (citation.type, citation.filename) == ("file_citation", "Harbour guide")


def test_the_anthropic_sdk_is_answered_with_citations(desk: Desk) -> None:
    desk.add()
    with (
        anthropic.Anthropic(base_url=desk.gateway.url, api_key="none") as client,
        client.messages.stream(
            model=f"workspace/{desk.slug}",
            max_tokens=100,
            messages=[{"role": "user", "content": "When does the harbour open?"}],
        ) as stream,
    ):
        block: Any = stream.get_final_message().content[0]
    assert block.text == "It opens at six."
    citation = block.citations[0]
    assert (citation.type, citation.title) == ("search_result_location", "Harbour guide")
    assert "six in the morning" in citation.cited_text


def test_a_workspace_is_a_model_of_its_own_openai_endpoint(desk: Desk) -> None:
    desk.add()
    with openai.OpenAI(base_url=f"{desk.gateway.url}/api/v1/openai", api_key="none") as client:
        assert desk.slug in [each.id for each in client.models.list()]
        chunks = client.chat.completions.create(
            model=desk.slug, messages=[{"role": "user", "content": "When does it open?"}], stream=True
        )
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "It opens at six."


def test_a_key_of_the_caller_may_bring_tools(desk: Desk, upstream: Upstream) -> None:
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    with openai.OpenAI(base_url=f"{desk.gateway.url}/v1", api_key="none") as client:
        client.chat.completions.create(
            model=f"workspace/{desk.slug}",
            messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Look."}],
            tools=[tool],  # type: ignore[list-item]
            temperature=0.1,
        )
    sent = upstream.requests[-1].json
    assert sent["tools"][0]["function"]["name"] == "look"
    assert sent["temperature"] == 0.1
    assert sent["messages"][0]["content"].startswith("Be brief.")


def test_what_is_removed_is_found_no_more(desk: Desk) -> None:
    document = desk.add()
    removed = fetch(
        desk.gateway.address,
        "DELETE",
        "/api/v1/system/remove-documents",
        {"names": [document["location"]]},
    )
    assert removed.json == {"success": True, "message": "Documents removed successfully"}
    assert desk.get(f"/workspace/{desk.slug}")["workspace"][0]["documents"] == []
    (frame,) = desk.ask("When does the harbour open?", mode="query")
    assert frame["textResponse"] == REFUSAL


def test_a_question_that_goes_on_is_answered_from_earlier_sources(desk: Desk, upstream: Upstream) -> None:
    desk.add()
    desk.ask("When does the harbour open?", mode="query")
    frames = desk.ask("And why?", mode="query")
    assert "six in the morning" in system_of(upstream)
    assert frames[-1]["sources"] == []
    (frame,) = desk.ask("Who won the chess tournament in Reykjavik?", mode="query")
    assert frame["textResponse"] == REFUSAL


def test_a_workspace_has_a_model_of_its_own(desk: Desk, upstream: Upstream) -> None:
    for settings, asked in (
        ({"chatModel": "pair"}, "mock-a"),
        ({"chatProvider": "up", "chatModel": "pair"}, "mock-a"),
        ({"chatModel": "vendor/small"}, "vendor/small"),
        ({"agentModel": "again"}, "vendor/small"),
    ):
        desk.post(f"/workspace/{desk.slug}/update", **settings)
        desk.ask("Why?", mode="chat")
        assert upstream.requests[-1].json["model"] == asked
    desk.post(f"/workspace/{desk.slug}/update", chatProvider="nowhere")
    path = f"/api/v1/workspace/{desk.slug}/chat"
    response = fetch(desk.gateway.address, "POST", path, {"message": "Why?", "mode": "chat"})
    assert (response.status, "'vendor/small'" in response.json["error"]) == (404, True)


def test_earlier_sources_that_are_gone_are_told_no_more(desk: Desk, upstream: Upstream) -> None:
    document = desk.add()
    desk.add("The lighthouse has a brass lamp.", "Lighthouse")
    desk.ask("When does the harbour open?", mode="query")
    desk.ask("And why?", mode="chat")
    assert "six in the morning" in system_of(upstream)
    desk.post(f"/workspace/{desk.slug}/update-embeddings", deletes=[document["location"]])
    desk.ask("And why?", mode="chat")
    assert "six in the morning" not in system_of(upstream)
    (frame,) = desk.ask("And why?", mode="query")
    assert frame["textResponse"] == REFUSAL


def test_a_conversation_that_a_client_brings_is_kept_apart(desk: Desk, upstream: Upstream) -> None:
    with openai.OpenAI(base_url=f"{desk.gateway.url}/v1", api_key="none") as client:
        for more in ({}, {"store": False}):
            client.chat.completions.create(
                model=f"workspace/{desk.slug}",
                messages=[{"role": "user", "content": "Hidden?"}],
                extra_body=more,
            )
    desk.ask("Seen?", mode="chat")
    assert len(upstream.requests[-1].json["messages"]) == 2
    assert [each["content"] for each in desk.history()] == ["Seen?", "It opens at six."]
    told = [each["prompt"] for each in desk.post("/admin/workspace-chats", offset=0)["chats"][:2]]
    assert told == ["Seen?", "Hidden?"]


def test_a_thread_goes_on_in_any_dialect(desk: Desk, upstream: Upstream) -> None:
    thread = desk.post(f"/workspace/{desk.slug}/thread/new", name="T")["thread"]["slug"]
    desk.ask("First?", f"/thread/{thread}", mode="chat")
    with anthropic.Anthropic(base_url=desk.gateway.url, api_key="none") as client:
        client.messages.create(
            model=f"workspace/{desk.slug}/{thread}",
            max_tokens=50,
            messages=[{"role": "user", "content": "Second?"}],
        )
    said_before = [each["content"] for each in upstream.requests[-1].json["messages"][1:]]
    assert said_before == ["First?", "It opens at six.", "Second?"]
    kept = desk.get(f"/workspace/{desk.slug}/thread/{thread}/chats")["history"]
    assert [each["content"] for each in kept[::2]] == ["First?", "Second?"]
