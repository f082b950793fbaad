"""What agents make is saved once, told of, and handed out to its owner alone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from anthropic import Anthropic
from google import genai
from hypothesis import example, given
from hypothesis import strategies as st
from openai import OpenAI

from tests.agents.asking import asking_home, question_of, reading, send, with_agents
from tests.agents.tutorial import WHOLE, tutorial
from tests.chat_stream import ChatAnswer, body_for, parse, stream_chat
from tests.crash.killing import Home, Reading, crash_config
from tests.gateway import Gateway, eventually
from tests.properties import examples
from tests.raw_http import Response, fetch
from tests.upstream import Upstream
from tidegate.agents.files import safe_name
from tidegate.client import Client, Item

pytestmark = pytest.mark.timeout(60)

TITLE = "如何学习 MySQL: Grundlagen für Anfänger"


@pytest.fixture(scope="module")
def home(_shared_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with asking_home(tmp_path_factory.mktemp("filing") / "home", crash_config(_shared_upstream)) as made:
        yield made


def files_of(answer: ChatAnswer) -> list[dict[str, Any]]:
    """What was told of files."""
    deltas = [choice["delta"] for choice in answer.choices()]
    told = [delta["tidegate"] for delta in deltas if "tidegate" in delta]
    return [each["value"] for each in told if each["kind"] == "file"]


def made(gateway: Gateway, name: str, **more: Any) -> dict[str, Any]:
    """A file that an agent makes."""
    [value] = files_of(stream_chat(gateway.address, name, model="files-one", **more).succeeded())
    return value


def get(gateway: Gateway, path: str, method: str = "GET", **headers: str) -> Response:
    return fetch(gateway.address, method, path, headers=headers)


def test_a_tutorial_is_saved_under_its_title(gateway: Gateway, upstream: Upstream) -> None:
    upstream.answer = tutorial
    answer = stream_chat(gateway.address, "MySQL", model="write_tutorial").succeeded()
    [file] = files_of(answer)
    assert (file["name"], file["media_type"]) == ("MySQL in an hour.md", "text/markdown; charset=utf-8")
    assert f"Saved MySQL in an hour.md: {file['url']}" in answer.text(name="reasoning_content")
    assert get(gateway, file["url"]).body.decode() == answer.text() == WHOLE


def test_a_file_is_handed_out_to_be_saved_and_not_shown(home: Home) -> None:
    file = made(home.gateway, f"{TITLE}.html", data="<script>alert(1)</script>")
    assert file["name"] == "如何学习 MySQL- Grundlagen für Anfänger.html"
    for path in (file["url"], f"/v1{file['url']}", f"//download//{file['id']}/", f"/download/{file['id']}"):
        response = get(home.gateway, path)
        assert (response.status, response.body) == (200, b"<script>alert(1)</script>")
        assert response.head.get("content-type") == "text/html; charset=utf-8"
        assert response.head.get("x-content-type-options") == "nosniff"
        plain, exact = (response.head.get("content-disposition") or "").split("; ")[1:]
        assert plain == 'filename="______ MySQL- Grundlagen f_r Anf_nger.html"'.replace("______", "____")
        assert unquote(exact.removeprefix("filename*=UTF-8''")) == file["name"]


def test_a_file_can_be_looked_at_and_fetched_in_parts(home: Home) -> None:
    file = made(home.gateway, "long.txt", data="0123456789")
    head = get(home.gateway, file["url"], "HEAD")
    assert (head.status, head.head.get("content-length"), head.body) == (200, "10", b"")
    part = get(home.gateway, file["url"], Range="bytes=4-")
    assert (part.status, part.body) == (206, b"456789")
    assert get(home.gateway, file["url"], "POST").status == 405


def test_the_file_is_among_those_of_the_files_api(home: Home) -> None:
    file = made(home.gateway, "listed.md", data="# Ü", media_type="text/x-notes")
    with OpenAI(base_url=home.gateway.base_url, api_key="none") as sdk:
        found = sdk.files.retrieve(file["id"])
        assert (found.filename, found.bytes, found.purpose) == ("listed.md", 4, "assistants_output")
        assert sdk.files.content(file["id"]).content == "# Ü".encode()
        sdk.files.delete(file["id"])
    gone = get(home.gateway, file["url"])
    assert (gone.status, gone.json["error"]["code"]) == (404, "file_not_found")
    assert get(home.gateway, "/download/..%2f..%2fkeys/x").status == 404


def test_only_the_owner_gets_it(upstream: Upstream, tmp_path: Path) -> None:
    config = crash_config(upstream, auth={"list": ["key-of-one", "key-of-another"]})
    gateway = Gateway(with_agents(tmp_path / "home"), config)
    try:
        own, other = ({"Authorization": f"Bearer key-of-{who}"} for who in ("one", "another"))
        body = body_for("mine.txt", model="files-one")
        [file] = files_of(parse(fetch(gateway.address, "POST", "/v1/chat/completions", body, own)))
        answers = [get(gateway, file["url"], **headers) for headers in ({}, other, own)]
        assert [each.status for each in answers] == [401, 403, 200]
        assert answers[1].json["error"]["code"] == "not_your_file"
    finally:
        gateway.stop()


def test_a_name_that_is_no_media_type_is_the_agents_mistake(home: Home) -> None:
    answer = stream_chat(home.gateway.address, "x", model="files-one", media_type="text/html\r\nX: y")
    assert "ValueError" in answer.failed()["message"]


# What clients make of it


def test_the_sdk_of_openai_reads_on_in_chat_and_in_responses(home: Home) -> None:
    with OpenAI(base_url=home.gateway.base_url, api_key="none") as sdk:
        chunks = sdk.chat.completions.create(
            model="files-one", stream=True, messages=[{"role": "user", "content": "a.md"}]
        )
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        assert text == "Here it is. 14 bytes."
        with sdk.responses.stream(model="files-one", input="a.md") as stream:
            events = list(stream)
            response = stream.get_final_response()
        told: list[Any] = [event for event in events if getattr(event, "tidegate", None)]
        assert [event.tidegate["value"]["name"] for event in told] == ["a.md"]
        numbers = [event.sequence_number for event in events]
        assert numbers == list(range(len(numbers)))
        assert response.output_text == text
        whole: Any = sdk.responses.create(model="files-one", input="a.md")
        assert [item["kind"] for item in whole.tidegate["items"]] == ["file"]
        assert whole.output_text == text
        legacy = sdk.completions.create(model="files-one", prompt="a.md", stream=True)
        assert "".join(chunk.choices[0].text for chunk in legacy) == text


def test_the_sdk_of_anthropic_reads_on(home: Home) -> None:
    with Anthropic(base_url=home.gateway.url, api_key="none") as sdk:
        ask: Any = {"max_tokens": 99, "messages": [{"role": "user", "content": "a.md"}]}
        with sdk.messages.stream(model="files-one", **ask) as stream:
            text = "".join(stream.text_stream)
            assert stream.get_final_message().stop_reason == "end_turn"
        assert text == "Here it is. 14 bytes."
        whole: Any = sdk.messages.create(model="files-one", **ask)
        assert [item["value"]["name"] for item in whole.tidegate["items"]] == ["a.md"]


def test_the_sdk_of_google_reads_on(home: Home) -> None:
    options: Any = {"base_url": home.gateway.url}
    with closing(genai.Client(api_key="none", http_options=options)) as sdk:
        chunks = sdk.models.generate_content_stream(model="files-one", contents="a.md")
        said = [
            part.text or ""
            for chunk in chunks
            for candidate in chunk.candidates or []
            for part in (candidate.content.parts if candidate.content else None) or []
            if not part.thought
        ]
        assert "".join(said) == "Here it is. 14 bytes."
        assert sdk.models.generate_content(model="files-one", contents="a.md").text == "".join(said)


def test_our_own_client_gets_the_item(home: Home) -> None:
    with Client(home.gateway.url).stream(model="files-one", messages="a.md") as stream:
        items = [event for event in stream if isinstance(event, Item)]
        assert [(item.kind, item.value["name"]) for item in items] == [("file", "a.md")]


# Crashes


def test_a_file_is_saved_once_whatever_happens(upstream: Upstream, tmp_path: Path) -> None:
    with asking_home(tmp_path / "home", crash_config(upstream)) as home:
        begun = reading(home, "files-and-asks", "Go on?")
        home.kill()
        begun.ended()
        home.start()
        question_of(home.gateway, begun.stream, "Go on?")
        send(home.gateway, begun.stream, {"text": "yes"})
        answer = parse(get(home.gateway, f"/v1/streams/{begun.stream}")).succeeded()
        first, second = files_of(answer)
        assert (first["name"], second["name"]) == ("first.bin", "second.txt")
        assert get(home.gateway, first["url"]).body == b"False"
        listed = home.gateway.get("/v1/files?order=asc")["data"]
        assert [each["id"] for each in listed] == [first["id"], second["id"]]


def test_a_kill_while_a_file_is_written_leaves_one_whole_file(upstream: Upstream, tmp_path: Path) -> None:
    with asking_home(tmp_path / "home", crash_config(upstream)) as home:
        begun = Reading(home, "x", "files-large", {})
        eventually(lambda: any((home.folder / "files").glob("*/*.data")), "the file is being written")
        home.kill()
        begun.ended()
        home.start()
        [stream] = home.gateway.get("/v1/streams")["data"]
        answer = parse(get(home.gateway, f"/v1/streams/{stream['id']}")).succeeded()
        [file] = files_of(answer)
        assert file["size"] == len(get(home.gateway, file["url"]).body) == 48 << 20
        assert len(home.gateway.get("/v1/files")["data"]) == 1
        assert len(list((home.folder / "files").glob("*/*"))) == 2


# Names


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("MySQL in an hour.md", "MySQL in an hour.md"),
        ("../../etc/passwd", "etc-passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("a/b: what? <now>", "a-b- what- -now-"),
        ("CON.md", "_CON.md"),
        ("com1", "_com1"),
        ("lpt³.txt", "_lpt³.txt"),
        ("console.md", "console.md"),
        ("", "file"),
        ("...", "file"),
        (" . ", "file"),
        (".bashrc", "bashrc"),
        ("-rf", "rf"),
        ("a\r\nSet-Cookie: b\0.md", "a Set-Cookie- b .md"),
        ("photo\u202egpj.exe", "photo gpj.exe"),
        ("half \ud83d.md", "half .md"),
        ("如何学习.md", "如何学习.md"),
        ("می\u200cخواهم.md", "می\u200cخواهم.md"),
    ],
)
def test_names_are_safe_and_stay_readable(name: str, safe: str) -> None:
    assert safe_name(name) == safe


@examples(200)
@given(st.text(max_size=300))
@example("学" * 300 + ".md")
@example("x" * 300 + "." + "y" * 300)
@example("CON" + "." * 250)
def test_every_name_is_one_that_any_system_keeps(name: str) -> None:
    safe = safe_name(name)
    assert 0 < len(safe.encode()) <= 200
    assert safe == safe_name(safe)
    assert not set(safe) & set('/\\:*?"<>|\0\r\n')
    assert safe[0] not in ".-"
    assert safe[-1] not in ". "


def test_a_long_name_keeps_its_ending() -> None:
    assert safe_name("学" * 300 + ".md") == "学" * 65 + ".md"


def test_two_runs_at_once_keep_their_files_apart(home: Home) -> None:
    async def both() -> list[dict[str, Any]]:
        return await asyncio.gather(
            *(asyncio.to_thread(made, home.gateway, "same.txt", data=each) for each in ("one", "two"))
        )

    one, two = asyncio.run(both())
    assert one["id"] != two["id"]
    assert [get(home.gateway, each["url"]).body for each in (one, two)] == [b"one", b"two"]
