"""Google's native Gemini API, served and spoken (https://ai.google.dev/api/generate-content)."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from tidegate.core.event import Failure
from tidegate.core.request import Header, Prompt, Request
from tidegate.dialects.api import Decoder, Dialect, Renderer
from tidegate.dialects.gemini import errors, prompt, request, write
from tidegate.dialects.gemini.decode import GeminiDecoder
from tidegate.dialects.gemini.render import GeminiStreamRenderer
from tidegate.dialects.gemini.whole import GeminiWholeRenderer
from tidegate.dialects.gemini.words import NAME
from tidegate.errors import InvalidRequest, SourceError

__all__ = ["DIALECT", "GeminiDecoder", "GeminiStreamRenderer", "GeminiWholeRenderer"]

_CONFIG = "generationConfig."


class Gemini:
    """The dialect ``gemini``."""

    name = NAME
    headers: Mapping[str, str] = {}
    forwards: tuple[str, ...] = ()
    lacks = write.LACKS
    fields: Mapping[str, str] = {
        "max_tokens": f"{_CONFIG}maxOutputTokens",
        "temperature": f"{_CONFIG}temperature",
        "top_p": f"{_CONFIG}topP",
        "top_k": f"{_CONFIG}topK",
        "stop": f"{_CONFIG}stopSequences",
        "seed": f"{_CONFIG}seed",
        "presence_penalty": f"{_CONFIG}presencePenalty",
        "frequency_penalty": f"{_CONFIG}frequencyPenalty",
        "choices": f"{_CONFIG}candidateCount",
        "logprobs": f"{_CONFIG}responseLogprobs",
        "top_logprobs": f"{_CONFIG}logprobs",
        "reasoning": f"{_CONFIG}thinkingConfig",
        "json_object": f"{_CONFIG}responseMimeType",
        "json_schema": f"{_CONFIG}responseJsonSchema",
        "media_in_instructions": "systemInstruction",
        "media_of_model": "contents.parts",
        "document_name": "contents.parts.inlineData.displayName",
        "tool_choice": "toolConfig",
        "allowed_tools": "toolConfig.functionCallingConfig.allowedFunctionNames",
        "hosted_tools": "tools",
        "foreign_tools": "tools",
        "foreign_parts": "contents.parts",
        "thinking": "contents.parts.thoughtSignature",
        "foreign_thinking": "contents.parts.thought",
        "foreign_seals": "contents.parts.thoughtSignature",
        "result_media": "contents.parts.functionResponse.parts",
        **{
            f"{kind}_{form}": f"contents.parts.{name}"
            for kind in ("image", "document", "audio", "video")
            for form, name in (("data", "inlineData"), ("url", "fileData"), ("file", "fileData"))
        },
    }

    def target(self, model: str) -> str:
        """See :class:`tidegate.dialects.api.Dialect`, as for all that follow.

        Raises InvalidRequest for a name that is a way to another path: callers may choose it.
        """
        name = model if model.startswith(("models/", "tunedModels/")) else f"models/{model}"
        if not {".", ".."}.isdisjoint(name.split("/")):  # servers and proxies would look elsewhere
            raise InvalidRequest("'model' may not hold '.' or '..' between slashes", param="model")
        return f"/{quote(name, safe='/')}:{request.STREAM}?alt=sse"

    def read_request(self, body: bytes, headers: Mapping[str, str] = {}, path: str = "") -> Request:
        return request.read_request(body, path)

    def read_prompt(self, asked: Request) -> Prompt:
        return prompt.read_prompt(asked)

    def write_request(self, asked: Request, model: str, quirks: frozenset[str]) -> bytes:
        return request.write_request(asked, model, quirks)

    def write_prompt(self, asked: Prompt, model: str, quirks: frozenset[str]) -> bytes:
        return write.write_prompt(asked, model, quirks)

    def renderer(self, header: Header) -> Renderer:
        return GeminiStreamRenderer(header) if header.stream else GeminiWholeRenderer(header)

    def render_error(self, failure: Failure, request_id: str | None = None) -> bytes:
        return errors.render_error(failure)

    def decoder(self, max_frame: int) -> Decoder:
        return GeminiDecoder(max_frame)

    def read_error(self, status: int, body: bytes, retry_after: float | None) -> SourceError:
        return errors.read_error(status, body, retry_after)


DIALECT: Dialect = Gemini()
