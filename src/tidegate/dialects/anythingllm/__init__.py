"""AnythingLLM's chat requests and answers, served and not spoken (https://docs.anythingllm.com/features/api).

A workspace is named by the path, not by the body. What only its clients are told (the id of the chat, the
sources, the metrics) comes as one item of the kind ``anythingllm``, before the choice is complete; an answer
that no model gave has that item before its text, with the member ``type``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NoReturn

from tidegate.core.event import Failure
from tidegate.core.request import Header, Prompt, Request
from tidegate.dialects.anythingllm import errors, request
from tidegate.dialects.anythingllm.render import AnythingLLMRenderer
from tidegate.dialects.anythingllm.request import Asked, asked
from tidegate.dialects.anythingllm.whole import AnythingLLMWholeRenderer
from tidegate.dialects.api import Decoder, Dialect, Lack, Renderer
from tidegate.errors import SourceError, Unsupported

__all__ = ["DIALECT", "Asked", "asked"]

_NOTHING_LACKS: Final[Mapping[str, Lack]] = {}


class AnythingLLM:
    """The dialect ``anythingllm``. Raises Unsupported where it would be spoken to an upstream."""

    name = "anythingllm"
    headers: Mapping[str, str] = {}
    forwards: tuple[str, ...] = ()
    lacks = _NOTHING_LACKS
    fields: Mapping[str, str] = {}

    def target(self, model: str) -> str:
        """See :class:`tidegate.dialects.api.Dialect`, as for all that follow."""
        _not_spoken()

    def read_request(self, body: bytes, headers: Mapping[str, str] = {}, path: str = "") -> Request:
        return request.read_request(body, path)

    def read_prompt(self, asked: Request) -> Prompt:
        return request.read_prompt(asked)

    def write_request(self, asked: Request, model: str, quirks: frozenset[str]) -> bytes:
        _not_spoken()

    def write_prompt(self, asked: Prompt, model: str, quirks: frozenset[str]) -> bytes:
        _not_spoken()

    def decoder(self, max_frame: int) -> Decoder:
        _not_spoken()

    def read_error(self, status: int, body: bytes, retry_after: float | None) -> SourceError:
        _not_spoken()

    def renderer(self, header: Header) -> Renderer:
        return AnythingLLMRenderer(header) if header.stream else AnythingLLMWholeRenderer(header)

    def render_error(self, failure: Failure, request_id: str | None = None) -> bytes:
        return errors.render_error(failure, request_id)


def _not_spoken() -> NoReturn:
    raise Unsupported("upstreams are not called in the dialect anythingllm", retryable=False)


DIALECT: Dialect = AnythingLLM()
