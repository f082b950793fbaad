"""AnythingLLM's chats, served and not spoken (https://docs.anythingllm.com/features/api).

The path names the workspace. What only its clients are told comes as items of the kind ``anythingllm``; see
:class:`tidegate.dialects.anythingllm.told.Told`. Any other stream can be shown here as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NoReturn

from tidegate.core.event import Failure
from tidegate.core.request import Header, Prompt, Request
from tidegate.dialects.anythingllm import errors, request
from tidegate.dialects.anythingllm.render import AnythingLLMStreamRenderer
from tidegate.dialects.anythingllm.request import MODES, Asked, Document, asked
from tidegate.dialects.anythingllm.told import NAME
from tidegate.dialects.anythingllm.whole import AnythingLLMWholeRenderer
from tidegate.dialects.api import Decoder, Dialect, Lack, Renderer
from tidegate.errors import SourceError, Unsupported

__all__ = ["DIALECT", "MODES", "NAME", "Asked", "Document", "asked"]

_LACKS: Final[Mapping[str, Lack]] = {}


class AnythingLLM:
    """The dialect ``anythingllm``. Raises Unsupported where an upstream would be called in it."""

    name = NAME
    headers: Mapping[str, str] = {}
    forwards: tuple[str, ...] = ()
    lacks = _LACKS
    fields: Mapping[str, str] = {"image_data": "attachments", "image_url": "attachments"}

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

    def renderer(self, header: Header) -> Renderer:
        return AnythingLLMStreamRenderer(header) if header.stream else AnythingLLMWholeRenderer(header)

    def render_error(self, failure: Failure, request_id: str | None = None) -> bytes:
        return errors.render_error(failure, request_id)

    def decoder(self, max_frame: int) -> Decoder:
        _not_spoken()

    def read_error(self, status: int, body: bytes, retry_after: float | None) -> SourceError:
        _not_spoken()


def _not_spoken() -> NoReturn:
    raise Unsupported(f"no upstream is called in the dialect {NAME}; callers speak it only", retryable=False)


DIALECT: Dialect = AnythingLLM()
