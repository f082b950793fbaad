"""Makes the names under which workspaces and threads stand in URLs, as AnythingLLM makes them.

That is simov/slugify with words of its own for some signs. Letters that have no Latin form are dropped, so a
name without any has no slug and gets a UUID.
"""

from __future__ import annotations

import re
import secrets
import unicodedata
import uuid
from collections.abc import Callable, Mapping
from typing import Final

_WORDS: Final[Mapping[str, str]] = {
    "+": " plus ",
    "!": " bang ",
    "@": " at ",
    "*": " splat ",
    ".": " dot ",
    "$": "dollar",
    "%": "percent",
    "&": "and",
    "<": "less",
    ">": "greater",
    "€": "euro",
    "£": "pound",
    "¥": "yen",
    "ß": "ss",
    "æ": "ae",
    "Æ": "AE",
    "œ": "oe",
    "Œ": "OE",
    "ø": "o",
    "Ø": "O",
    "ð": "d",
    "Ð": "D",
    "đ": "dj",
    "Đ": "DJ",
    "þ": "th",
    "Þ": "TH",
    "ł": "l",
    "Ł": "L",
    "ı": "i",
    "-": " ",
}
_DROPPED: Final = re.compile(r"[^A-Za-z0-9_\s]+")
_LONGEST: Final = 200


def slugify(name: str) -> str:
    """The slug of a name, empty where nothing of it can stand in one. Upper case stays."""
    plain = "".join(_WORDS.get(each) or _latin(each) for each in unicodedata.normalize("NFC", name))
    return "-".join(_DROPPED.sub("", plain).split())[:_LONGEST].rstrip("-")


def free_slug(slug: str, is_taken: Callable[[str], bool]) -> str:
    """``slug``, with eight digits behind it when it is taken, or a UUID when it is empty."""
    if not slug:
        return str(uuid.uuid4())
    found = slug
    while is_taken(found):
        found = f"{slug}-{10_000_000 + secrets.randbelow(90_000_000)}"
    return found


def _latin(character: str) -> str:
    """The letter without its accents."""
    return character if character.isascii() else unicodedata.normalize("NFKD", character)
