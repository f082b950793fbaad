"""Texts are cut into passages that fit, lose nothing, and repeat no more than they may."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import OpenAI

from tests.gateway import Gateway
from tests.raw_http import fetch
from tidegate.workspaces.splitting import CHINESE, SENTENCES, WORDS, split, split_markdown

TEXTS = st.text(st.sampled_from("ab \n\n.!?。，;#` 世"), max_size=300)
SIZES = st.tuples(st.integers(1, 60), st.integers(0, 59)).filter(lambda pair: pair[1] < pair[0])


def solid(text: str) -> str:
    return "".join(text.split())


def covers(passages: list[str], text: str) -> bool:
    """Whether the passages, each continued in the next from at most its whole, give the text again."""
    wanted, at = solid(text), 0
    for passage in map(solid, passages):
        begin = next(
            (
                back
                for back in range(at, -1, -1)
                if wanted.startswith(passage, back) and back + len(passage) >= at
            ),
            None,
        )
        if begin is None:
            return False
        at = begin + len(passage)
    return at == len(wanted)


@given(TEXTS, SIZES, st.sampled_from([WORDS, SENTENCES, CHINESE]))
def test_passages_fit_and_lose_nothing(text: str, sizes: tuple[int, int], breaks: Any) -> None:
    passages = [each.text for each in split(text, breaks, *sizes)]
    assert all(0 < len(each) <= sizes[0] for each in passages)
    assert covers(passages, text)


@given(TEXTS, SIZES)
def test_passages_without_overlap_are_the_text(text: str, sizes: tuple[int, int]) -> None:
    passages = [each.text for each in split(text, WORDS, sizes[0], 0)]
    assert solid("".join(passages)) == solid(text)
    marked = [each.text for each in split_markdown(text, sizes[0], 0)]
    assert solid("".join(marked)) == solid(text)


def test_large_breaks_come_first() -> None:
    text = "One two. Three four.\n\nFive six seven."
    assert [each.text for each in split(text, WORDS, 20, 0)] == ["One two. Three four.", "Five six seven."]
    assert [each.text for each in split(text, SENTENCES, 12, 0)] == [
        "One two.",
        "Three four.",
        "Five six",
        "seven.",
    ]
    chinese = "今天天气好。我们出去吧！好的，走。"
    assert [each.text for each in split(chinese, CHINESE, 7, 0)] == [
        "今天天气好。",
        "我们出去吧！",
        "好的，走。",
    ]


def test_overlap_repeats_whole_pieces() -> None:
    passages = [each.text for each in split("a b c d e f", WORDS, 6, 4)]
    assert passages[0] == "a b c"
    assert passages[1].startswith("b c")


def test_markdown_keeps_to_its_headings() -> None:
    text = "intro\n# A\none\n## B ##\ntwo\n```\n# no heading\n```\n# C\nthree"
    found = [(each.text, each.headings) for each in split_markdown(text, 100, 10)]
    assert found == [
        ("intro", {}),
        ("# A\none", {1: "A"}),
        ("## B ##\ntwo\n```\n# no heading\n```", {1: "A", 2: "B"}),
        ("# C\nthree", {1: "C"}),
    ]


# Over HTTP.


@pytest.fixture
def file_id(client: OpenAI) -> str:
    text = "# Title\n\n" + "One sentence here. " * 40 + "\n\n## Part\n\nAnother。再一个！"
    return client.files.create(file=("a.md", text.encode()), purpose="assistants").id


def ask(gateway: Gateway, **fields: Any) -> Any:
    return fetch(gateway.address, "POST", "/v1/files/split", fields)


@pytest.mark.parametrize(
    "name",
    [
        None,
        "ChineseRecursiveTextSplitter",
        "SpacyTextSplitter",
        "RecursiveCharacterTextSplitter",
        "MarkdownHeaderTextSplitter",
    ],
)
def test_every_splitter_answers_in_one_shape(gateway: Gateway, file_id: str, name: str | None) -> None:
    response = ask(gateway, file_id=file_id, chunk_size=100, chunk_overlap=20, text_splitter_name=name)
    assert response.status == 200
    assert response.json["object"] == "docs"
    assert response.json["id"].startswith("docs-")
    docs = response.json["docs"]
    assert len(docs) > 7
    for each in docs:
        assert each["type"] == "Document"
        assert 0 < len(each["page_content"]) <= 100
        assert each["metadata"]["source"] == {"file_id": file_id, "filename": "a.md"}
    if name == "MarkdownHeaderTextSplitter":
        assert docs[-1]["metadata"]["head2"] == "Part"


def test_titles_are_told_below_them(gateway: Gateway, client: OpenAI) -> None:
    text = "第1章 开始\n\n很长的一段文字。\n\n很长的第二段文字。"
    made = client.files.create(file=("a.txt", text.encode()), purpose="assistants")
    docs = ask(gateway, file_id=made.id, chunk_size=12, chunk_overlap=0, zh_title_enhance=True).json["docs"]
    assert docs[1]["page_content"] == "下文与(第1章 开始)有关。很长的一段文字。"


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({}, 400, "file_id"),
        ({"url": "http://127.0.0.1/"}, 400, "url"),
        ({"file_id": "file-" + "0" * 24}, 404, "file_id"),
        ({"file_id": "../x"}, 404, "file_id"),
        ({"file_id": "x", "chunk_size": 0}, 400, "chunk_size"),
        ({"file_id": "x", "chunk_size": 10, "chunk_overlap": 10}, 400, "chunk_overlap"),
        ({"file_id": "x", "text_splitter_name": "Other"}, 400, "text_splitter_name"),
    ],
)
def test_mistakes_are_named(gateway: Gateway, fields: Any, status: int, param: str) -> None:
    response = ask(gateway, **fields)
    assert (response.status, response.json["error"]["param"]) == (status, param)


def test_what_is_no_text_is_refused(gateway: Gateway, client: OpenAI) -> None:
    made = client.files.create(file=("a.pdf", b"%PDF\x00\xff"), purpose="assistants")
    assert ask(gateway, file_id=made.id).status == 400
