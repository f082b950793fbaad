"""Owns the clients of the matrix: a request and the strict reading of an answer, in each dialect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tests.matrix.clients.api import QUESTION, Client
from tests.matrix.clients.chat import Chat
from tests.matrix.clients.gemini import Gemini
from tests.matrix.clients.messages import Messages
from tests.matrix.clients.responses import Responses

CLIENTS: Final[Mapping[str, Client]] = {
    "openai-chat": Chat(),
    "openai-responses": Responses(),
    "anthropic-messages": Messages(),
    "gemini": Gemini(),
}

__all__ = ["CLIENTS", "QUESTION", "Client"]
