"""Makes text of bytes whose encoding nobody told, or told wrongly."""

from __future__ import annotations

import codecs
import re
from collections import Counter
from typing import Final

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

_LOOKED_AT: Final = 64 * 1024

# The commonest of a script; a text of any length has some, and one that was decoded wrongly has hardly any.
_COMMON: Final = (
    ("gb18030", frozenset("的一是在不了有和人这中大为上个国我以要他，。、")),
    ("big5", frozenset("的一是在不了有和人這中大為上個國我以要他，。、")),
    ("shift_jis", frozenset("のにはをたがでてとしれさあいうなもこ。、")),
    ("euc_jp", frozenset("のにはをたがでてとしれさあいうなもこ。、")),
    ("euc_kr", frozenset("이다는을의에하가고지를로한은도")),
)
_ENOUGH_COMMON: Final = 0.08

_CONTROLS: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f\ufeff\ufffe\uffff]")
_CONTROL_BYTES: Final = bytes(set(range(32)) - set(b"\t\n\r\f\b\x1b"))


def is_text(data: bytes) -> bool:
    """Whether it can be text in any encoding."""
    if data.startswith(tuple(mark for mark, _ in _MARKS)) or _wide(data) is not None:
        return True
    head = data[:_LOOKED_AT]
    if b"\0" in head:
        return False
    return len(head) - len(head.translate(None, _CONTROL_BYTES)) <= len(head) // 100


def decode(data: bytes, told: str | None = None) -> str:
    """The text, by its byte order mark, as UTF-8, by what was ``told`` or by what is in it."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.end == len(data) and error.reason == "unexpected end of data":
            return data.decode("utf-8", "replace")
    encoding = _known(told) or _wide(data) or _guess(data)
    return data.decode(encoding, "replace")


def clean(text: str) -> str:
    """Without control characters, and with one kind of line ending."""
    return _CONTROLS.sub("", text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n\n"))


def _known(encoding: str | None) -> str | None:
    if not encoding:
        return None
    try:
        found = codecs.lookup(encoding.strip("\"' "))
    except (LookupError, ValueError):
        return None
    if not found._is_text_encoding or found.name in {"utf-8", "ascii", "idna", "punycode"}:
        return None
    # What calls itself GB 2312 uses the larger sets that have it in them.
    return "gb18030" if found.name in {"gb2312", "gbk"} else found.name


def _wide(data: bytes) -> str | None:
    """UTF-16 without a mark, where every second byte of plain letters is zero."""
    head = data[: _LOOKED_AT & ~1]
    if len(head) < 4:
        return None
    for encoding, zeros, others in (
        ("utf-16-le", head[1::2], head[::2]),
        ("utf-16-be", head[::2], head[1::2]),
    ):
        if zeros.count(0) > len(zeros) * 0.4 and others.count(0) == 0:
            return encoding
    return None


def _guess(data: bytes) -> str:
    head = data[:_LOOKED_AT]
    best, best_share = "cp1252", _ENOUGH_COMMON
    for encoding, common in _COMMON:
        text = head.decode(encoding, "replace")
        letters = Counter(each for each in text if each > "\x7f")
        total = letters.total()
        if letters["\ufffd"] > total // 100 + 1:
            continue
        share = sum(letters[each] for each in common) / total if total else 0.0
        if share > best_share:
            best, best_share = encoding, share
    return best
