"""The body of a chat: ``{message, mode, sessionId, attachments, reset}``; what is unknown is ignored."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from tidegate.core.message import AnyPart, MediaPart, Message, TextPart
from tidegate.core.request import Prompt, Request
from tidegate.dialects.anythingllm.paths import place_of
from tidegate.dialects.anythingllm.told import NAME
from tidegate.dialects.translation.body import decode_fields, read_body
from tidegate.dialects.translation.media import media_from_url
from tidegate.dialects.translation.options import read_options
from tidegate.errors import InvalidRequest, NotFound

MODES: Final = ("automatic", "chat", "query")
DOCUMENT: Final = "application/anythingllm-document"
"""The type of an attachment that is read as a document; any other is an image."""

_READ: Final = (
    "message",
    "mode",
    "sessionId",
    "userId",
    "attachments",
    "reset",
    "max_tokens",
)
_DATA: Final = re.compile(r"data:([^;,]*)[^,]*;base64,")
_ADDRESSES: Final = ("https://", "http://")
_SHOWN: Final = 100
_LONGEST_SESSION: Final = 1000
_MOST: Final = 2**31 - 1
"""The greatest id that AnythingLLM's database takes; whoever has another one is nobody."""

_known = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Document(Struct, frozen=True):
    """A document that came with a question; ``content`` in base64. ``media_type`` is empty where unsaid."""

    name: str
    media_type: str
    content: str

    @property
    def data(self) -> bytes:
        """The bytes of its file. Raises InvalidRequest for what is not base64."""
        try:
            return b64decode(self.content)
        except (binascii.Error, ValueError):
            raise InvalidRequest(
                f"the attachment {self.name!r:.100} is not in base64", param="attachments"
            ) from None


class Asked(Struct, frozen=True, kw_only=True):
    """What a request says. ``images`` are URLs, most with the data in them; ``attachments`` all that came."""

    message: str
    mode: str | None = None
    session: str | None = None
    user: int | None = None
    reset: bool = False
    documents: tuple[Document, ...] = ()
    images: tuple[str, ...] = ()
    attachments: tuple[Mapping[str, Any], ...] = ()
    max_tokens: int | None = None


def read_request(body: bytes, path: str) -> Request:
    """See :meth:`tidegate.dialects.api.Dialect.read_request`. ``path`` is canonical."""
    place = place_of(path)
    if place is None:
        raise NotFound(f"no workspace is asked at {path}; POST to /api/v1/workspace/SLUG/stream-chat")
    _, fields = read_body(body, _known)
    own = read_options(fields)
    request = Request(
        dialect=NAME,
        model=place.model,
        fields=fields,
        stream=place.stream,
        fallback_models=own.fallback_models,
        fallback=not own.disable_fallbacks,
        thinking_to_content=own.thinking_to_content,
    )
    asked(request)
    return request


def read_prompt(request: Request) -> Prompt:
    """See :meth:`tidegate.dialects.api.Dialect.read_prompt`. Documents are whoever answers to read."""
    said = asked(request)
    parts: tuple[AnyPart, ...] = (TextPart(text=said.message), *map(_image, said.images))
    return Prompt(messages=(Message("user", parts),), max_tokens=said.max_tokens)


def asked(request: Request) -> Asked:
    """What the body says. Raises InvalidRequest, in AnythingLLM's words where it has some."""
    said = decode_fields({name: request.fields[name] for name in _READ if name in request.fields})
    message, mode, reset = said.get("message"), said.get("mode"), said.get("reset") is True
    if not isinstance(message, str) or not message.strip():
        if not reset:
            raise InvalidRequest("Message is empty", param="message")
        message = ""
    if mode is not None and mode not in MODES:
        raise InvalidRequest(f"{_shown(mode)} is not a valid mode.", param="mode")
    attachments = _attachments(said.get("attachments"))
    documents = tuple(_document(each) for each in attachments if _is_document(each))
    return Asked(
        message=message,
        mode=mode,
        session=_session(said.get("sessionId")),
        user=_number(said.get("userId")),
        reset=reset,
        documents=documents,
        images=tuple(each["contentString"] for each in attachments if not _is_document(each)),
        attachments=attachments,
        max_tokens=_limit(said.get("max_tokens")),
    )


def _attachments(given: Any) -> tuple[dict[str, Any], ...]:
    """All that came, each with a text for its content."""
    if given is None:
        return ()
    if not isinstance(given, list):
        raise InvalidRequest(
            "'attachments' must be a list of {name, mime, contentString}", param="attachments"
        )
    for number, each in enumerate(given):
        content = each.get("contentString") if isinstance(each, dict) else None
        if not isinstance(content, str) or not content:
            raise InvalidRequest(
                f"'attachments[{number}].contentString' must be a data URL: data:TYPE;base64,…",
                param="attachments",
            )
        if not _is_document(each) and not _DATA.match(content) and not content.startswith(_ADDRESSES):
            raise InvalidRequest(
                f"'attachments[{number}]' is an image whose contentString is no data URL; send "
                f"data:image/png;base64,… or set its mime to {DOCUMENT}",
                param="attachments",
            )
    names = ("name", "mime", "contentString")
    return tuple({name: each[name] for name in names if name in each} for each in given)


def _is_document(attachment: Mapping[str, Any]) -> bool:
    return str(attachment.get("mime")).lower() == DOCUMENT


def _document(attachment: Mapping[str, Any]) -> Document:
    """A document, whose content may also stand there without what makes it a URL."""
    content: str = attachment["contentString"]
    head = _DATA.match(content)
    name = attachment.get("name")
    name = name if isinstance(name, str) and name else "attachment"
    kind = head[1] if head is not None else ""
    return Document(name, "" if kind == DOCUMENT else kind, content[head.end() :] if head else content)


def _image(url: str) -> MediaPart:
    try:
        return media_from_url("image", url)
    except ValueError as error:
        raise InvalidRequest(f"an attachment cannot be read: {error}", param="attachments") from None


def _session(value: Any) -> str | None:
    """The name of a session, which some clients write as a number."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    if len(str(value)) > _LONGEST_SESSION:
        raise InvalidRequest(
            f"'sessionId' may have {_LONGEST_SESSION} characters; send a shorter one", param="sessionId"
        )
    return str(value) or None


def _number(value: Any) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16:
        value = int(value)
    return value if type(value) is int and 0 < value <= _MOST else None


def _limit(value: Any) -> int | None:
    return value if type(value) is int and value > 0 else None


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text[:_SHOWN]
