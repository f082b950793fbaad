"""What goes between the gateway and a process that reads documents.

Once it has started, the process writes :data:`READY`. A job is the length of its head in four bytes, the
head as JSON, and the file; the answer is the length of its head, the head, and the text of its pages in
UTF-8, one behind the other.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

from tidegate.workspaces.document import Parsed
from tidegate.workspaces.parsing.limits import Limits

READY: Final = b"ready\n"
LENGTH: Final = 4
LARGEST_HEAD: Final = 32 << 20


class Job(Struct, frozen=True):
    """A file of ``size`` bytes to be read within ``limits``."""

    name: str
    media_type: str
    size: int
    limits: Limits


class Sheet(Struct, frozen=True, array_like=True):
    """A page whose text follows, ``size`` bytes of it."""

    size: int
    number: int | None


class Answer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was read, or why nothing was: ``refusal`` for the caller, ``detail`` for the log.

    ``spent``: the process ends now and reads no more.
    """

    pages: list[Sheet] = []
    title: str = ""
    author: str = ""
    description: str = ""
    published: str = ""
    refusal: str = ""
    code: str = ""
    detail: str = ""
    spent: bool = False


def framed(head: Job | Answer) -> bytes:
    """The head with its length before it."""
    data = msgspec.json.encode(head)
    return len(data).to_bytes(LENGTH, "big") + data


def answer_with(parsed: Parsed) -> tuple[Answer, list[bytes]]:
    """The answer's head and the texts that follow it."""
    texts = [page.text.encode("utf-8", "replace") for page in parsed.pages]
    sheets = [Sheet(len(text), page.number) for text, page in zip(texts, parsed.pages, strict=True)]
    facts = {name: getattr(parsed, name) for name in ("title", "author", "description", "published")}
    printable = {name: fact.encode("utf-8", "replace").decode() for name, fact in facts.items()}
    return Answer(pages=sheets, **printable), texts
