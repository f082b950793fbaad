"""Owns counting: one row in the store for each generation, however it ended and however often it was begun,
and for each call of another kind.

What an upstream counted is taken as it is. Where it counted nothing, because it never does or because the
answer broke off, what was shown stands for tokens of the output, and the text of the request for those of the
input; such a row says so.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from string import ascii_letters, digits
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection

from tidegate.core.attempt import Attempt
from tidegate.core.call import Call
from tidegate.core.event import Failure, Outcome
from tidegate.core.request import Header
from tidegate.core.usage import Usage, tokens_of
from tidegate.store.database import Database
from tidegate.store.generations import GenerationRow, write_generations

_PAUSE: Final = 0.04
"""Seconds in which rows collect. A row alone costs several times its share of many."""

_LETTERS: Final = 4.0
"""ASCII characters to a token, as English has them; other scripts take more tokens for what they say."""

_OTHERS: Final = 1.5
"""Characters beyond ASCII to a token."""

_MESSAGE: Final = 4
"""Tokens around each message."""

_NO_TEXT: Final = frozenset({"data", "url", "image_url", "file_data", "signature", "encrypted_content"})
"""Members whose text is no text: a model is not shown the letters of a picture."""

_BASE64: Final = (ascii_letters + digits + "+/=_-").encode()
_FILE: Final = re.compile(rb"[A-Za-z0-9+/=_-]{256,}")
"""What files are written in."""

_REVIVED_MS: Final = 2000
"""A stream whose header is that much older than its beginning was begun before, by a process that died."""


class Ended(NamedTuple):
    """What is known of a generation at its end; times in ms, None where it is not known."""

    header: Header
    outcome: Outcome
    error: Failure | None
    ended_ms: int
    first_ms: int | None
    total_ms: int | None
    deltas: int
    characters: int
    """What was shown."""
    usage: Usage | None
    """What was counted for the whole answer."""
    answered: str | None
    attempts: tuple[Attempt, ...]
    seamed: bool = False
    """Several attempts made the answer: what those that broke off had shown is estimated."""
    recovered: bool = False
    """Put together from what a dead process left: a row that is there already is better."""


class Called(NamedTuple):
    """What is known of a call that is no generation, at its end; times in ms."""

    call: Call
    caller: str
    key: str | None
    model: str
    error: Failure | None
    began_ms: int
    total_ms: int
    usage: Usage | None


class Ledger:
    """Writes rows in the store's thread, those of a moment together."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: list[Ended | Called] = []
        self._timer: asyncio.TimerHandle | None = None

    def record(self, ended: Ended | Called) -> None:
        """Note what has ended; its row is written within a moment. Doing so again changes the same row."""
        self._waiting.append(ended)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_PAUSE, self.flush)

    def flush(self) -> None:
        """Hand over what waits, so that it is written before anything that the store is given after it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiting:
            batch, self._waiting = self._waiting, []
            self._database.post(lambda connection: _write(connection, batch))


def _write(connection: Connection, batch: list[Ended | Called]) -> None:
    rows: list[GenerationRow] = []
    recovered: list[GenerationRow] = []
    for ended in batch:
        if isinstance(ended, Called):
            rows.append(_row_of_call(ended))
        else:
            (recovered if ended.recovered else rows).append(_row(ended))
    write_generations(connection, rows)
    write_generations(connection, recovered, only_new=True)


def _row_of_call(called: Called) -> GenerationRow:
    error, usage = called.error, called.usage or Usage()
    outcome = "completed" if error is None else "cancelled" if error.type == "cancelled" else "failed"
    return GenerationRow(
        stream=called.call.name,
        caller=called.caller,
        key_id=called.key,
        parent=None,
        model=called.model,
        answered=None,
        dialect=called.call.path.lstrip("/"),
        outcome=outcome,
        error=None if error is None else error.code or error.type,
        created_ms=called.began_ms,
        first_ms=None,
        total_ms=called.total_ms,
        input_tokens=_count(usage.input_tokens),
        output_tokens=_count(usage.output_tokens),
        cached_tokens=_count(usage.cached_tokens),
        reasoning_tokens=_count(usage.reasoning_tokens),
        estimated=False,
        attempts=[],
    )


def _row(ended: Ended) -> GenerationRow:
    header = ended.header
    usage, estimated = _tokens(ended)
    created_ms, total_ms, first_ms = header.created * 1000, ended.total_ms, ended.first_ms
    if total_ms is not None:
        began_ms = ended.ended_ms - total_ms
        if began_ms - created_ms > _REVIVED_MS:
            total_ms, first_ms = ended.ended_ms - created_ms, None
        else:
            created_ms = began_ms
    return GenerationRow(
        stream=header.id,
        caller=header.caller,
        key_id=header.key,
        parent=header.parent,
        model=header.model,
        answered=ended.answered,
        dialect=header.dialect,
        outcome=ended.outcome,
        error=None if ended.error is None else ended.error.code or ended.error.type,
        created_ms=created_ms,
        first_ms=first_ms,
        total_ms=total_ms,
        input_tokens=_count(usage.input_tokens),
        output_tokens=_count(usage.output_tokens),
        cached_tokens=_count(usage.cached_tokens),
        reasoning_tokens=_count(usage.reasoning_tokens),
        estimated=estimated,
        attempts=msgspec.to_builtins(ended.attempts),
    )


def _tokens(ended: Ended) -> tuple[Usage, bool]:
    """The tokens of a generation, and whether they were counted here."""
    if ended.usage is not None:
        return ended.usage.own, ended.seamed
    told = [each for each in ended.attempts if each.usage is not None]
    if told and told[-1].usage is not None and told[-1].usage.inner is not None:
        return told[-1].usage.own, False  # a program that tells what it spends as it goes
    shown = [each for each in told if each.deltas] or told
    begun = shown[0].usage if shown else None
    if ended.outcome == "failed" and not ended.deltas:
        return begun or Usage(), False  # refused or never reached: no one charges for that
    return Usage(
        input_tokens=begun.input_tokens if begun else estimate(ended.header.body),
        output_tokens=tokens_of(ended.characters, ended.deltas),
        cached_tokens=begun.cached_tokens if begun else 0,
        cache_write_tokens=begun.cache_write_tokens if begun else 0,
    ), True


def _count(told: int) -> int:
    """Tokens as they are written: an upstream may tell any number, and no sum of them may be too large."""
    return max(min(told, _MOST_TOKENS), 0)


def estimate(body: bytes) -> int:
    """About how many tokens the text in a request's body is; pictures and files count nothing."""
    if len(body) > _LONG:
        return _rough_estimate(body)
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return 0
    letters = others = messages = 0
    for text in _texts(value):
        ascii_only = len(text) if text.isascii() else sum(1 for letter in text if letter < "\x80")
        letters += ascii_only
        others += len(text) - ascii_only
    if isinstance(value, dict):
        for name in ("messages", "input", "contents"):
            listed = value.get(name)
            messages = len(listed) if isinstance(listed, list) else messages
    return _tokens_in(letters, others, messages)


def _rough_estimate(body: bytes) -> int:
    """The same from the bytes of a long body, a few at a time: to decode it would stop all other threads."""
    letters = others = 0
    for at in range(0, len(body), _PIECE):
        piece = body[at : at + _PIECE]
        if piece.translate(None, _BASE64):  # else it is from the middle of a file
            if not (piece[:_EDGE].translate(None, _BASE64) and piece[-_EDGE:].translate(None, _BASE64)):
                piece = _FILE.sub(b"", piece)  # one begins or ends here
            escaped = piece.count(b"\\u")
            others += len(piece.translate(None, _NOT_FIRST)) + escaped
            letters += len(piece.translate(None, _NOT_ASCII)) - len(r"\u0000") * escaped
    return _tokens_in(max(letters, 0), others, body.count(b'"role"'))


def _tokens_in(letters: int, others: int, messages: int) -> int:
    return round(letters / _LETTERS + others / _OTHERS) + _MESSAGE * messages


_LONG: Final = 128 * 1024
_PIECE: Final = 2048
_EDGE: Final = 64

_NOT_ASCII: Final = bytes(range(0x80, 0x100))
_NOT_FIRST: Final = bytes(range(0xC0))
"""All bytes but those that a character beyond ASCII begins with in UTF-8."""

_MOST_TOKENS: Final = 2**31 - 1


def _texts(value: Any) -> Iterator[str]:
    """What a model reads of a request: what was said, and which tools there are."""
    if not isinstance(value, dict):
        return
    shown = ("messages", "input", "contents", "prompt", "system", "instructions", "tools", "functions")
    rest: list[Any] = [value.get(name) for name in (*shown, "systemInstruction", "system_instruction")]
    while rest:
        each = rest.pop()
        if isinstance(each, str):
            yield each
        elif isinstance(each, list):
            rest += each
        elif isinstance(each, dict):
            rest += [inner for name, inner in each.items() if name not in _NO_TEXT]
