"""OpenAI Chat Completions, served and spoken (https://platform.openai.com/docs/api-reference/chat)."""

from __future__ import annotations

from collections.abc import Mapping

from tidegate.core.event import Failure
from tidegate.core.request import Begun, Header, Prompt, Request
from tidegate.core.source import Continues
from tidegate.dialects.anythingllm.as_openai import STRICT, AsOpenAIRenderer
from tidegate.dialects.api import Decoder, Dialect, Renderer
from tidegate.dialects.openai_chat import begun, errors, prompt, request, write
from tidegate.dialects.openai_chat.decode import ChatDecoder
from tidegate.dialects.openai_chat.render import ChatStreamRenderer
from tidegate.dialects.openai_chat.whole import ChatWholeRenderer
from tidegate.errors import SourceError

__all__ = ["DIALECT", "ChatDecoder", "ChatStreamRenderer", "ChatWholeRenderer"]


class OpenAIChat:
    """The dialect ``openai-chat``."""

    name = "openai-chat"
    headers: Mapping[str, str] = {}
    forwards: tuple[str, ...] = ()
    lacks = write.LACKS
    fields: Mapping[str, str] = {
        "choices": "n",
        "parallel_tools": "parallel_tool_calls",
        "reasoning": "reasoning_effort",
        "json_object": "response_format",
        "json_schema": "response_format",
        **{
            f"schema_{name}": f"response_format.json_schema.{name}"
            for name in ("name", "description", "strict")
        },
        "media_in_instructions": "messages.content",
        "media_of_model": "messages.content",
        "image_detail": "messages.content.image_url.detail",
        "document_name": "messages.content.file.filename",
        "allowed_tools": "tool_choice",
        "custom_tools": "tools",
        "hosted_tools": "tools",
        "foreign_tools": "tools",
        "message_name": "messages.name",
        "foreign_parts": "messages.content",
        "foreign_thinking": "messages.reasoning_content",
        "foreign_seals": "messages.reasoning_details",
        "thinking": "messages.reasoning_details",
        "cache": "cache_control",
    }

    def target(self, model: str) -> str:
        """See :class:`tidegate.dialects.api.Dialect`, as for all that follow."""
        return "/chat/completions"

    def read_request(self, body: bytes, headers: Mapping[str, str] = {}, path: str = "") -> Request:
        return request.read_request(body)

    def read_prompt(self, asked: Request) -> Prompt:
        return prompt.read_prompt(asked)

    def write_request(self, asked: Request, model: str, quirks: frozenset[str]) -> bytes:
        return request.write_request(asked, model, quirks)

    def write_prompt(self, asked: Prompt, model: str, quirks: frozenset[str]) -> bytes:
        return write.write_prompt(asked, model, quirks)

    def continues(self, model: str, way: str | None) -> Continues | None:
        """See :class:`tidegate.dialects.api.Continuable`."""
        return begun.continues(way)

    def write_begun(self, body: bytes, beginning: Begun, way: str | None) -> bytes:
        """See :class:`tidegate.dialects.api.Continuable`."""
        return begun.write_begun(body, beginning, way)

    def renderer(self, header: Header) -> Renderer:
        if header.form == STRICT:
            return AsOpenAIRenderer(header)
        return ChatStreamRenderer(header) if header.stream else ChatWholeRenderer(header)

    def render_error(self, failure: Failure, request_id: str | None = None) -> bytes:
        return errors.render_error(failure)

    def decoder(self, max_frame: int) -> Decoder:
        return ChatDecoder(max_frame)

    def read_error(self, status: int, body: bytes, retry_after: float | None) -> SourceError:
        return errors.read_error(status, body, retry_after)


DIALECT: Dialect = OpenAIChat()
