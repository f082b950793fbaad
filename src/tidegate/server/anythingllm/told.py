"""Answers in AnythingLLM's forms: JSON, the bare phrases of a status, and chats as history."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final

from starlette.responses import Response

from tidegate.store.chats import Chat, OwnedChat
from tidegate.wire.ascii_json import ascii_json
from tidegate.workspaces.settings import moment

MOST_CHATS: Final = 10_000
"""Chats in one answer."""


def answer(value: Any, status: int = 200) -> Response:
    """A value as JSON."""
    return Response(ascii_json(value).encode("ascii"), status, media_type="application/json")


def phrase(status: int) -> Response:
    """A status with its own name for a body, as Express's ``sendStatus`` has it."""
    name = HTTPStatus(status).phrase
    return Response(name, status, media_type="text/plain")


def history_of(chats: Iterable[Chat], *, sources: bool = True) -> list[dict[str, Any]]:
    """Chats as the questions and answers in them; one without an answer is left out.

    ``sources`` says whether what the answers are from is told.
    """
    told = []
    for chat in chats:
        text = chat.response.get("text")
        if isinstance(text, str):
            told += [_question(chat), _answer(chat, text, sources)]
    return told


def _question(chat: Chat) -> dict[str, Any]:
    return {
        "role": "user",
        "content": chat.prompt,
        "sentAt": chat.created_ms // 1000,
        "attachments": chat.response.get("attachments") or [],
        "chatId": chat.id,
    }


def _answer(chat: Chat, text: str, sources: bool) -> dict[str, Any]:
    told = {
        "type": chat.response.get("type") or "chat",
        "role": "assistant",
        "content": text,
        "sources": (chat.response.get("sources") or []) if sources else [],
        "chatId": chat.id,
        "sentAt": chat.created_ms // 1000,
        "feedbackScore": chat.feedback,
        "metrics": chat.response.get("metrics") or {},
    }
    outputs = chat.response.get("outputs")
    return {**told, "outputs": outputs} if outputs else told


def chat_row(owned: OwnedChat) -> dict[str, Any]:
    """A chat as the row of AnythingLLM's table, with the names that belong to it."""
    chat = owned.chat
    return {
        "id": chat.id,
        "workspaceId": chat.workspace,
        "prompt": chat.prompt,
        "response": ascii_json(chat.response),
        "include": chat.include,
        "user_id": chat.user_id,
        "createdAt": moment(chat.created_ms),
        "lastUpdatedAt": moment(chat.created_ms),
        "thread_id": chat.thread,
        "api_session_id": chat.session,
        "feedbackScore": chat.feedback,
        "workspace": {"name": owned.name, "slug": owned.slug},
        "user": {"username": who_asked(owned, "unknown user")},
    }


def who_asked(owned: OwnedChat, unknown: str) -> str:
    """The name of whoever asked: a user's, or that it was a program."""
    return owned.username or ("API" if owned.chat.session is not None else unknown)
