"""OpenAI Chat Completions, served and spoken (https://platform.openai.com/docs/api-reference/chat)."""

from __future__ import annotations

from tidegate.core.event import Failure
from tidegate.core.request import Header, Request
from tidegate.dialects.api import Decoder, Dialect, Renderer
from tidegate.dialects.openai_chat import errors, request
from tidegate.dialects.openai_chat.decode import ChatDecoder
from tidegate.dialects.openai_chat.render import ChatStreamRenderer
from tidegate.dialects.openai_chat.whole import ChatWholeRenderer
from tidegate.errors import SourceError

__all__ = ["DIALECT", "ChatDecoder", "ChatStreamRenderer", "ChatWholeRenderer"]


class OpenAIChat:
    """The dialect ``openai-chat``."""

    name = "openai-chat"
    path = "/chat/completions"

    def read_request(self, body: bytes) -> Request:
        """See :class:`tidegate.dialects.api.Dialect`, as for all that follow."""
        return request.read_request(body)

    def write_request(self, asked: Request, model: str, quirks: frozenset[str]) -> bytes:
        return request.write_request(asked, model, quirks)

    def renderer(self, header: Header) -> Renderer:
        return ChatStreamRenderer(header) if header.stream else ChatWholeRenderer(header)

    def render_error(self, failure: Failure) -> bytes:
        return errors.render_error(failure)

    def decoder(self, max_frame: int) -> Decoder:
        return ChatDecoder(max_frame)

    def read_error(self, status: int, body: bytes, retry_after: float | None) -> SourceError:
        return errors.read_error(status, body, retry_after)


DIALECT: Dialect = OpenAIChat()
