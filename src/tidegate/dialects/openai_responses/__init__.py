"""OpenAI Responses, served and spoken (https://platform.openai.com/docs/api-reference/responses)."""

from __future__ import annotations

from collections.abc import Mapping

from tidegate.core.event import Failure
from tidegate.core.request import Header, Prompt, Request
from tidegate.dialects.api import Decoder, Dialect, Renderer
from tidegate.dialects.openai_responses import errors, prompt, request, write
from tidegate.dialects.openai_responses.decode import ResponsesDecoder
from tidegate.dialects.openai_responses.stream import ResponsesStreamRenderer
from tidegate.dialects.openai_responses.usage import NAME
from tidegate.dialects.openai_responses.whole import ResponsesWholeRenderer
from tidegate.errors import SourceError

__all__ = ["DIALECT", "ResponsesDecoder", "ResponsesStreamRenderer", "ResponsesWholeRenderer"]


class OpenAIResponses:
    """The dialect ``openai-responses``."""

    name = NAME
    headers: Mapping[str, str] = {}
    forwards: tuple[str, ...] = ()
    lacks = write.LACKS
    fields: Mapping[str, str] = {
        "max_tokens": "max_output_tokens",
        "parallel_tools": "parallel_tool_calls",
        "json_object": "text.format",
        "json_schema": "text.format",
        **{f"schema_{name}": f"text.format.{name}" for name in ("name", "description", "strict")},
        "media_in_instructions": "input",
        "media_of_model": "input",
        "image_detail": "input.content.detail",
        "document_name": "input.content.filename",
        "verbosity": "text.verbosity",
        "logprobs": "include",
        "allowed_tools": "tool_choice",
        "custom_tools": "tools",
        "hosted_tools": "tools",
        "foreign_tools": "tools",
        "foreign_parts": "input",
        "foreign_thinking": "input",
        "foreign_seals": "input",
        "thinking": "input",
        "result_media": "input",
        "user": "safety_identifier",
        **{
            f"{kind}_{form}": "input"
            for kind in ("image", "document", "audio")
            for form in ("data", "url", "file")
        },
    }

    def target(self, model: str) -> str:
        """See :class:`tidegate.dialects.api.Dialect`, as for all that follow."""
        return "/responses"

    def read_request(self, body: bytes, headers: Mapping[str, str] = {}, path: str = "") -> Request:
        return request.read_request(body)

    def read_prompt(self, asked: Request) -> Prompt:
        return prompt.read_prompt(asked)

    def write_request(self, asked: Request, model: str, quirks: frozenset[str]) -> bytes:
        return request.write_request(asked, model)

    def write_prompt(self, asked: Prompt, model: str, quirks: frozenset[str]) -> bytes:
        return write.write_prompt(asked, model)

    def renderer(self, header: Header) -> Renderer:
        return ResponsesStreamRenderer(header) if header.stream else ResponsesWholeRenderer(header)

    def render_error(self, failure: Failure, request_id: str | None = None) -> bytes:
        return errors.render_error(failure)

    def decoder(self, max_frame: int) -> Decoder:
        return ResponsesDecoder(max_frame)

    def read_error(self, status: int, body: bytes, retry_after: float | None) -> SourceError:
        return errors.read_error(status, body, retry_after)


DIALECT: Dialect = OpenAIResponses()
