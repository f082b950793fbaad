"""What ``POST /files/split`` asks for, and the passages that answer it, in api-for-open-llm's words."""

from __future__ import annotations

import re
from typing import Any, Literal

import msgspec
from msgspec import Struct

from tidegate.dialects.translation.body import read_body
from tidegate.errors import InvalidRequest
from tidegate.workspaces.splitting import CHINESE, SENTENCES, WORDS, Passage, split, split_markdown

_LARGEST = 100_000
_LONGEST_TITLE = 20

Splitter = Literal[
    "ChineseRecursiveTextSplitter",
    "SpacyTextSplitter",
    "RecursiveCharacterTextSplitter",
    "MarkdownHeaderTextSplitter",
]
_BREAKS = {
    "ChineseRecursiveTextSplitter": CHINESE,
    "SpacyTextSplitter": SENTENCES,
    "RecursiveCharacterTextSplitter": WORDS,
}


class Asked(Struct, frozen=True):
    """A request. Lengths are characters."""

    file_id: str = ""
    url: str | None = None
    zh_title_enhance: bool | None = None
    chunk_size: int | None = None
    chunk_overlap: int | None = None
    text_splitter_name: Splitter | None = None

    @property
    def size(self) -> int:
        """The longest passage."""
        return 250 if self.chunk_size is None else self.chunk_size

    @property
    def overlap(self) -> int:
        """How much of a passage the next one may repeat."""
        return min(50, self.size // 5) if self.chunk_overlap is None else self.chunk_overlap


_asked = msgspec.json.Decoder(Asked)


def read_split(body: bytes) -> Asked:
    """What a body asks for. Raises InvalidRequest."""
    asked, _ = read_body(body, _asked)
    if asked.url is not None:
        raise InvalidRequest(
            "'url' is not fetched by this server; send the document to POST /v1/files and name its file_id",
            param="url",
            code="unsupported_parameter",
        )
    if not asked.file_id:
        raise InvalidRequest("'file_id' is missing", param="file_id")
    if not 1 <= asked.size <= _LARGEST:
        raise InvalidRequest(f"'chunk_size' must be from 1 to {_LARGEST}", param="chunk_size")
    if not 0 <= asked.overlap < asked.size:
        raise InvalidRequest("'chunk_overlap' must be from 0 to less than chunk_size", param="chunk_overlap")
    return asked


def passages_of(data: bytes, asked: Asked, source: dict[str, Any]) -> list[dict[str, Any]]:
    """The passages of a file. Raises InvalidRequest when it is no text."""
    text = _text(data)
    name = asked.text_splitter_name or "ChineseRecursiveTextSplitter"
    if name == "MarkdownHeaderTextSplitter":
        found = split_markdown(text, asked.size, asked.overlap)
    else:
        found = split(text, _BREAKS[name], asked.size, asked.overlap)
    if asked.zh_title_enhance:
        found = _with_titles(found)
    return [
        {
            "page_content": each.text,
            "metadata": {"source": source, **{f"head{level}": it for level, it in each.headings.items()}},
            "type": "Document",
        }
        for each in found
    ]


def _text(data: bytes) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise InvalidRequest("this file is no text in UTF-8; text and Markdown can be split", param="file_id")
    return text.replace("\r\n", "\n")


def _with_titles(passages: list[Passage]) -> list[Passage]:
    """Passages that say which numbered title they stand below."""
    title = None
    told = []
    for each in passages:
        if _is_title(each.text):
            title = each.text
        elif title is not None:
            told.append(Passage(f"下文与({title})有关。{each.text}", each.headings))
            continue
        told.append(each)
    return told


def _is_title(text: str) -> bool:
    """A short line with a number at its start, mostly letters, and no punctuation at its end."""
    letters = [character for character in text if not character.isspace()]
    return (
        0 < len(text) <= _LONGEST_TITLE
        and re.search(r"[^\w\s]\Z", text) is None
        and any(character.isnumeric() for character in text[:5])
        and sum(character.isalpha() for character in letters) * 2 >= len(letters)
    )
