"""The questions of one run of an agent to persons: asked, waited for, and found again after a crash."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from hashlib import sha256
from typing import Any, Final

import msgspec

from tidegate.agents.questions import (
    EXPIRED,
    RECEIVED,
    REQUIRED,
    InputExpired,
    Kind,
    Open,
    Question,
    Questions,
)
from tidegate.agents.steps import Result, Steps
from tidegate.agents.writing import Writing
from tidegate.core.event import AnyEvent, Item

_PATIENCE: Final = 24 * 3600.0
"""Seconds that a person has where nobody said how many."""

Status = Callable[[str], None]
_WORDS: Final = {True: "Approved.", False: "Denied."}


class Inputs:
    """Asks persons on behalf of one run. ``unhurried`` is that of its output."""

    def __init__(
        self,
        stream: str,
        questions: Questions,
        steps: Steps,
        writing: Writing,
        unhurried: Callable[[], AbstractContextManager[None]],
        now_ms: Callable[[], int],
    ) -> None:
        self._stream = stream
        self._questions = questions
        self._steps = steps
        self._writing = writing
        self._unhurried = unhurried
        self._now_ms = now_ms
        self._waiting: dict[str, ExitStack] = {}
        """Of agents within this one that wait for a person, by their questions."""

    def recall(self, shown: Sequence[AnyEvent]) -> None:
        """Open again what was asked before a crash, before the run comes to it."""
        for event in shown:
            if type(event) is Item and event.kind == REQUIRED:
                with suppress(msgspec.ValidationError):  # of a stream within this one, or an agent's own
                    question = msgspec.convert(event.value, Question)
                    if question.url == _url(self._stream) and self._steps.get(_step(question.id)) is None:
                        self._open(question)

    async def ask(
        self,
        name: str,
        question: str,
        status: Status,
        *,
        kind: Kind,
        schema: Mapping[str, Any] | None,
        timeout: float | None,
        about: Mapping[str, Any] | None,
    ) -> Any:
        """The answer to a question, whose ``name`` is the same whenever the run is begun again.

        Raises InputExpired.
        """
        made = f"input_{sha256(f'{self._stream}/{name}'.encode()).hexdigest()[:16]}"
        asked = self._shown(made)
        if asked is None:
            expires_at = round(self._now_ms() / 1000 + (_PATIENCE if timeout is None else timeout), 3)
            asked = Question(made, question, kind, _url(self._stream), schema, expires_at, about)
        self._writing.item(REQUIRED, msgspec.to_builtins(asked))
        status(_words(question, asked.url))
        try:
            value = await self._answer(asked)
        except InputExpired:
            self._writing.item(EXPIRED, {"id": made})
            status("Nobody answered in time.")
            raise
        self._writing.item(RECEIVED, {"id": made, "input": value})
        status(_WORDS[value] if kind == "approval" else "Answered.")
        return value

    def pass_on(self, item: Item, status: Status) -> None:
        """Tell what an agent asks that this one has asked; it is answered at that one's own stream."""
        if item.kind == REQUIRED:
            self._writing.item(REQUIRED, item.value)
            status(_words(item.value["question"], item.value["url"]))
            waiting = self._waiting[item.value["id"]] = ExitStack()
            waiting.enter_context(self._unhurried())
        elif item.kind in (RECEIVED, EXPIRED):
            self._writing.item(item.kind, item.value)
            if (over := self._waiting.pop(item.value["id"], None)) is not None:
                over.close()

    def close(self) -> None:
        """The run has ended."""
        self._questions.forget(self._stream)
        for waiting in self._waiting.values():
            waiting.close()

    async def _answer(self, asked: Question) -> Any:
        if (done := self._steps.get(_step(asked.id))) is not None:
            return done.value
        opened = self._questions.get(self._stream, asked.id) or self._open(asked)
        with self._unhurried():
            while not opened.answer.done():
                left = None if opened.taken else opened.seconds_left
                await asyncio.wait({opened.answer}, timeout=None if left is None else max(left, 0.001))
                opened.expire()
        return opened.answer.result()

    def _open(self, question: Question) -> Open:
        async def keep(value: Any) -> None:
            await self._steps.put(_step(question.id), Result(value))

        opened = Open(question, keep, self._now_ms)
        self._questions.open(self._stream, opened)
        return opened

    def _shown(self, question: str) -> Question | None:
        """A question as it was told before a crash: when it expires does not change."""
        value = self._writing.shown(REQUIRED, "id", question)
        return None if value is None else msgspec.convert(value, Question)


def _words(question: str, url: str) -> str:
    return f"Question: {question} (to be answered at {url})"


def _url(stream: str) -> str:
    return f"/v1/streams/{stream}/input"


def _step(question: str) -> str:
    return f"?{question}"
