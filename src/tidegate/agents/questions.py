"""What agents wait for persons to say: the open questions of this process, and the answers that come.

An answer is kept as a step of its run before whoever gave it is told so: a run that is begun again after a
crash asks the same question, and finds the answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from tidegate.agents.agent import AgentError
from tidegate.agents.fitting import misfit
from tidegate.errors import Conflict, Gone, InvalidRequest

REQUIRED: Final = "input_required"
RECEIVED: Final = "input_received"
EXPIRED: Final = "input_expired"

Kind = Literal["text", "approval"]
Keep = Callable[[Any], Awaitable[None]]
"""Keeps an answer, so that it outlives this process. Raises StoreError."""


class InputExpired(AgentError):
    """Nobody answered in time."""

    def __init__(self, message: str = "nobody answered the agent's question in time") -> None:
        super().__init__(message, status=504, code="input_expired")


class Question(Struct, frozen=True, omit_defaults=True):
    """A question as it is told to whoever reads the stream, who answers it at ``url``.

    ``schema`` is the JSON schema of the answer, ``expires_at`` Unix time in seconds, ``about`` for programs.
    """

    id: str
    question: str
    kind: Kind
    url: str
    schema: Mapping[str, Any] | None = None
    expires_at: float | None = None
    about: Mapping[str, Any] | None = None


class Reply(Struct, frozen=True):
    """What was sent for a question, in one of three forms; ``id`` is the question's, where that was said."""

    id: str | None = None
    text: str | UnsetType = UNSET
    approve: bool | UnsetType = UNSET
    input: Any = UNSET


_reply = msgspec.json.Decoder(Reply)


def read_reply(body: bytes) -> Reply:
    """What a body says. Raises InvalidRequest."""
    try:
        reply = _reply.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(
            f'the body must be JSON, {{"text": …}}, {{"approve": true}} or {{"input": …}}: {error}'
        ) from None
    if sum(each is not UNSET for each in (reply.text, reply.approve, reply.input)) != 1:
        raise InvalidRequest('send one of "text", "approve" and "input"', param="input")
    return reply


class Open:
    """A question that has no answer yet. Whoever asks waits for :attr:`answer`."""

    def __init__(self, question: Question, keep: Keep, now_ms: Callable[[], int]) -> None:
        self.question = question
        self.answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.taken = False
        """Somebody's answer is being kept."""
        self._keep = keep
        self._now_ms = now_ms

    @property
    def seconds_left(self) -> float | None:
        """Until nobody may answer any more; None where that never comes."""
        expires_at = self.question.expires_at
        return None if expires_at is None else expires_at - self._now_ms() / 1000

    @property
    def expired(self) -> bool:
        left = self.seconds_left
        return left is not None and left <= 0

    async def take(self, reply: Reply) -> None:
        """Keep an answer and hand it on. Raises InvalidRequest where it does not fit, and StoreError."""
        value = _value(self.question, reply)
        self.taken = True
        try:
            await self._keep(value)
        except BaseException:
            self.taken = False
            self.expire()
            raise
        if not self.answer.done():
            self.answer.set_result(value)

    def expire(self) -> None:
        """Wait no longer, if the time is over and no answer is on its way."""
        if self.expired and not self.taken and not self.answer.done():
            self.answer.set_exception(InputExpired())


class Questions:
    """The open questions of this process, by their streams."""

    def __init__(self) -> None:
        self._open: dict[str, dict[str, Open]] = {}

    def of(self, stream: str) -> list[Question]:
        """What a stream waits for, the oldest first."""
        return [each.question for each in self._waiting(stream)]

    def get(self, stream: str, question: str) -> Open | None:
        """A question that was opened."""
        return self._open.get(stream, {}).get(question)

    def open(self, stream: str, opened: Open) -> None:
        """Ask it."""
        self._open.setdefault(stream, {})[opened.question.id] = opened

    def forget(self, stream: str) -> None:
        """Nothing of a stream is waited for any more."""
        for each in self._open.pop(stream, {}).values():
            each.answer.cancel()

    async def answer(self, stream: str, reply: Reply) -> Question:
        """Answer a question; it is returned.

        Raises Conflict where nothing is asked, Gone where the time is over, InvalidRequest for an answer
        that does not fit or does not say which of several questions it is for, and StoreError.
        """
        waiting = self._waiting(stream)
        if reply.id is not None:
            named = self.get(stream, reply.id)
            if named is not None and named.expired:
                raise Gone("this question had to be answered earlier", code="input_expired", param="id")
            waiting = [each for each in waiting if each is named]
        if not waiting:
            raise Conflict(f"stream {stream} does not ask for anything now", code="nothing_asked")
        if len(waiting) > 1:
            ids = ", ".join(each.question.id for each in waiting)
            raise InvalidRequest(f"say which question this is for: {ids}", param="id", code="several_asked")
        await waiting[0].take(reply)
        return waiting[0].question

    def _waiting(self, stream: str) -> list[Open]:
        opened = self._open.get(stream, {}).values()
        return [each for each in opened if not (each.taken or each.expired or each.answer.done())]


def _value(question: Question, reply: Reply) -> Any:
    if question.kind == "approval":
        approve = reply.approve if reply.approve is not UNSET else reply.input
        if not isinstance(approve, bool):
            raise InvalidRequest('this is answered with {"approve": true} or false', param="approve")
        return approve
    if reply.approve is not UNSET:
        raise InvalidRequest('this is no question of approval; send "text" or "input"', param="approve")
    value = reply.text if reply.text is not UNSET else reply.input
    if question.schema is None:
        if not isinstance(value, str):
            raise InvalidRequest('this is answered with {"text": "…"}', param="text")
        return value
    if (reason := misfit(value, question.schema)) is not None:
        raise InvalidRequest(f"the answer does not fit the schema of the question: {reason}", param="input")
    return value
