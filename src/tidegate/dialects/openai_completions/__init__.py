"""OpenAI's legacy completions, served and spoken (https://platform.openai.com/docs/api-reference/completions).

Its frames are Chat's but for the text, so it shares the levels ``chunk`` and ``choice`` of an event's extra.
"""

from __future__ import annotations

from collections.abc import Mapping

from tidegate.core.event import Failure
from tidegate.core.request import Begun, Header, Prompt, Request
from tidegate.core.source import Continues
from tidegate.dialects.api import Decoder, Dialect, Renderer
from tidegate.dialects.openai_chat import errors
from tidegate.dialects.openai_completions import begun, prompt, request, write
from tidegate.dialects.openai_completions.decode import CompletionsDecoder
from tidegate.dialects.openai_completions.render import CompletionsStreamRenderer
from tidegate.dialects.openai_completions.whole import CompletionsWholeRenderer
from tidegate.errors import SourceError

__all__ = ["DIALECT"]


class OpenAICompletions:
    """The dialect ``openai-completions``."""

    name = "openai-completions"
    headers: Mapping[str, str] = {}
    forwards: tuple[str, ...] = ()
    lacks = write.LACKS
    fields: Mapping[str, str] = {"choices": "n", "top_logprobs": "logprobs"}

    def target(self, model: str) -> str:
        """See :class:`tidegate.dialects.api.Dialect`, as for all that follow."""
        return "/completions"

    def read_request(self, body: bytes, headers: Mapping[str, str] = {}, path: str = "") -> Request:
        return request.read_request(body)

    def read_prompt(self, asked: Request) -> Prompt:
        return prompt.read_prompt(asked)

    def write_request(self, asked: Request, model: str, quirks: frozenset[str]) -> bytes:
        return request.write_request(asked, model, quirks)

    def write_prompt(self, asked: Prompt, model: str, quirks: frozenset[str]) -> bytes:
        return write.write_prompt(asked, model, quirks)

    def continues(self, model: str, way: str | None) -> Continues | None:
        """See :class:`tidegate.dialects.api.Continuable`: raw text is always gone on with."""
        return None if way == "none" else "exactly"

    def write_begun(self, body: bytes, beginning: Begun, way: str | None) -> bytes:
        """See :class:`tidegate.dialects.api.Continuable`."""
        return begun.write_begun(body, beginning)

    def renderer(self, header: Header) -> Renderer:
        return CompletionsStreamRenderer(header) if header.stream else CompletionsWholeRenderer(header)

    def render_error(self, failure: Failure, request_id: str | None = None) -> bytes:
        return errors.render_error(failure)

    def decoder(self, max_frame: int) -> Decoder:
        return CompletionsDecoder(max_frame)

    def read_error(self, status: int, body: bytes, retry_after: float | None) -> SourceError:
        return errors.read_error(status, body, retry_after)


DIALECT: Dialect = OpenAICompletions()
