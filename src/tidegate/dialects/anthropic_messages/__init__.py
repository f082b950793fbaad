"""Anthropic Messages, served and spoken (https://platform.claude.com/docs/en/api/messages)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tidegate.core.event import Failure
from tidegate.core.request import Begun, Header, Prompt, Request
from tidegate.core.source import Continues
from tidegate.dialects.anthropic_messages import begun, errors, prompt, request, write
from tidegate.dialects.anthropic_messages.decode import MessagesDecoder
from tidegate.dialects.anthropic_messages.render import MessagesStreamRenderer
from tidegate.dialects.anthropic_messages.tokens import estimate_tokens
from tidegate.dialects.anthropic_messages.whole import MessagesWholeRenderer
from tidegate.dialects.api import Decoder, Dialect, Renderer
from tidegate.errors import SourceError

__all__ = ["DIALECT", "estimate_tokens", "read_count", "write_count"]

COUNT_TARGET = "/messages/count_tokens"
"""Where tokens are counted, below the base URL of an upstream."""

read_count, write_count = request.read_count, request.write_count


class AnthropicMessages:
    """The dialect ``anthropic-messages``."""

    name = "anthropic-messages"
    headers: Mapping[str, str] = {"anthropic-version": "2023-06-01"}
    forwards: tuple[str, ...] = ("anthropic-beta", "anthropic-version")
    lacks = write.LACKS
    fields: Mapping[str, str] = {
        "stop": "stop_sequences",
        "parallel_tools": "tool_choice.disable_parallel_tool_use",
        "reasoning": "thinking",
        "json_schema": "output_config.format",
        "schema_name": "output_config.format.name",
        "media_in_instructions": "system",
        "media_of_model": "messages.content.image",
        "document_name": "messages.content.document.title",
        "document_citations": "messages.content.document.citations",
        "document_context": "messages.content.document.context",
        "allowed_tools": "tool_choice",
        "hosted_tools": "tools",
        "foreign_tools": "tools",
        "foreign_parts": "messages.content",
        "foreign_thinking": "messages.content.thinking",
        "foreign_seals": "messages.content.thinking",
        "thinking": "messages.content.thinking",
        "result_media": "messages.content.tool_result",
        **{
            f"{kind}_{form}": f"messages.content.{kind}"
            for kind in ("image", "document")
            for form in ("data", "url", "file")
        },
        "document_text": "messages.content.document",
        "cache": "cache_control",
        "user": "metadata.user_id",
    }

    def target(self, model: str) -> str:
        """See :class:`tidegate.dialects.api.Dialect`, as for all that follow."""
        return "/messages"

    def read_request(self, body: bytes, headers: Mapping[str, str] = {}, path: str = "") -> Request:
        return request.read_request(body, headers)

    def read_prompt(self, asked: Request) -> Prompt:
        return prompt.read_prompt(asked)

    def write_request(self, asked: Request, model: str, quirks: frozenset[str]) -> bytes:
        return request.write_request(asked, model, quirks)

    def write_prompt(self, asked: Prompt, model: str, quirks: frozenset[str]) -> bytes:
        return write.write_prompt(asked, model, quirks)

    def conflicts(self, asked: Prompt, model: str) -> Sequence[str]:
        """See :class:`tidegate.dialects.api.Particular`."""
        return tuple(write.conflicts(asked, model))

    def continues(self, model: str, way: str | None) -> Continues | None:
        """See :class:`tidegate.dialects.api.Continuable`."""
        return begun.continues(model, way)

    def write_begun(self, body: bytes, beginning: Begun, way: str | None) -> bytes:
        """See :class:`tidegate.dialects.api.Continuable`."""
        return begun.write_begun(body, beginning)

    def renderer(self, header: Header) -> Renderer:
        return MessagesStreamRenderer(header) if header.stream else MessagesWholeRenderer(header)

    def render_error(self, failure: Failure, request_id: str | None = None) -> bytes:
        return errors.render_error(failure, request_id)

    def decoder(self, max_frame: int) -> Decoder:
        return MessagesDecoder(max_frame)

    def read_error(self, status: int, body: bytes, retry_after: float | None) -> SourceError:
        return errors.read_error(status, body, retry_after)


DIALECT: Dialect = AnthropicMessages()
