"""A conversation in no dialect: messages made of typed parts.

What a wire format says about a part beyond the fields here is kept in ``extra``, under the name of that
dialect, and goes nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

Extra = Mapping[str, Any]
Role = Literal["system", "developer", "user", "assistant"]
MediaKind = Literal["image", "document", "audio", "video"]


class Part(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A piece of a message. ``cache`` is a mark for the prompt cache, in Anthropic's words."""

    cache: Mapping[str, Any] | None = None
    extra: Extra | None = None


class TextPart(Part, frozen=True, tag="text"):
    """Words."""

    text: str


class RefusalPart(Part, frozen=True, tag="refusal"):
    """The words in which a model declined."""

    text: str


class MediaPart(Part, frozen=True, tag="media"):
    """An image, a document, a sound or a film: ``data`` in base64, or where it is.

    ``text`` holds a document that is plain text, ``detail`` how closely an image is to be looked at.
    """

    kind: MediaKind
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None
    text: str | None = None
    name: str | None = None
    detail: str | None = None


class ThinkingPart(Part, frozen=True, tag="thinking"):
    """Reasoning that a model gave before, to be given back to it unchanged.

    ``origin`` is the dialect whose upstream signed it; other upstreams cannot check the signature.
    """

    text: str
    signature: str | None = None
    redacted: str | None = None
    origin: str | None = None


class CallPart(Part, frozen=True, tag="call"):
    """A tool call that a model made. ``arguments`` is JSON text, or free text for a custom tool."""

    call_id: str
    name: str
    arguments: str
    custom: bool = False


class ResultPart(Part, frozen=True, tag="result"):
    """What a tool answered; stands in a message of the user."""

    call_id: str
    content: tuple[TextPart | MediaPart, ...] = ()
    error: bool = False
    name: str | None = None
    custom: bool = False


class ForeignPart(Part, frozen=True, tag="foreign"):
    """A part that only the dialect ``dialect`` knows, as it was written there."""

    dialect: str
    value: Mapping[str, Any]


AnyPart = TextPart | RefusalPart | MediaPart | ThinkingPart | CallPart | ResultPart | ForeignPart


class Message(Struct, frozen=True, omit_defaults=True):
    """One turn. Instructions are messages of the roles system and developer, wherever they stand."""

    role: Role
    parts: tuple[AnyPart, ...]
    name: str | None = None
    extra: Extra | None = None


def text_of(parts: tuple[AnyPart, ...], between: str = "") -> str:
    """The words in a message's parts."""
    return between.join(part.text for part in parts if isinstance(part, (TextPart, RefusalPart)))
