"""The body of a chat request: ``{message, mode, sessionId, attachments, reset}``; others are ignored."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from typing import Any, Final
from urllib.parse import unquote

import msgspec
from msgspec import Struct

from tidegate.core.message import MediaPart, Message, TextPart
from tidegate.core.request import Prompt, Request
from tidegate.dialects.translation.body import read_body
from tidegate.errors import InvalidRequest

MODES: Final = ("automatic", "chat", "query")
DOCUMENT: Final = "application/anythingllm-document"
"""The type of an attachment that is read as a document; any other is an image."""

_PATH: Final = re.compile(
    r"/api/v1/workspace/(?P<slug>[^/]+)(?:/thread/(?P<thread>[^/]+))?/(?:stream-)?chat"
    r"|/api/embed/(?P<embed>[^/]+)/stream-chat"
)
_DATA: Final = re.compile(r"data:(?P<type>[^;,]*)(?:;[^,;]*)*?;base64,(?P<data>.*)", re.DOTALL)


class _Attachment(Struct):
    name: Any = None
    mime: Any = None
    contentString: Any = None  # noqa: N815 - the word on the wire


class _Known(Struct):
    message: Any = None
    mode: Any = None
    sessionId: Any = None  # noqa: N815
    userId: Any = None  # noqa: N815
    attachments: Any = None
    reset: Any = None


_known = msgspec.json.Decoder(_Known)


class Document(Struct, frozen=True):
    """A document that came with a question."""

    name: str
    data: bytes


class Asked(Struct, frozen=True):
    """What a request says. ``images`` are data URLs; ``attachments`` all that came, as it came."""

    message: str
    mode: str | None
    session: str | None
    user: int | None
    reset: bool
    documents: tuple[Document, ...]
    images: tuple[str, ...]
    attachments: tuple[dict[str, Any], ...]


def read_request(body: bytes, path: str) -> Request:
    """See :meth:`tidegate.dialects.api.Dialect.read_request`: the path says what is asked, and how."""
    _, fields = read_body(body, _known)
    request = Request(
        dialect="anythingllm",
        model=_model(path),
        fields=fields,
        stream=path.endswith("/stream-chat"),
    )
    asked(request)
    return request


def read_prompt(request: Request) -> Prompt:
    """See :meth:`tidegate.dialects.api.Dialect.read_prompt`."""
    said = asked(request)
    images = [_image(url) for url in said.images]
    return Prompt(messages=(Message("user", (TextPart(text=said.message), *images)),))


def asked(request: Request) -> Asked:
    """What the body says. Raises InvalidRequest, in the words that AnythingLLM has for it."""
    known = _known.decode(msgspec.json.encode(request.fields))
    message = known.message if isinstance(known.message, str) else ""
    reset = known.reset is True
    if not message.strip() and not reset:
        raise InvalidRequest("Message is empty", param="message")
    if known.mode is not None and known.mode not in MODES:
        raise InvalidRequest(f"{_shown(known.mode)} is not a valid mode.", param="mode")
    attachments = _attachments(known.attachments)
    documents = [_document(each) for each in attachments if each.get("mime") == DOCUMENT]
    images = [str(each["contentString"]) for each in attachments if each.get("mime") != DOCUMENT]
    return Asked(
        message,
        known.mode,
        str(known.sessionId) if known.sessionId not in (None, "") else None,
        known.userId if type(known.userId) is int else None,
        reset,
        tuple(documents),
        tuple(images),
        tuple(attachments),
    )


def _model(path: str) -> str | None:
    found = _PATH.fullmatch(path)
    if found is None:
        return None
    if found["embed"] is not None:
        return f"embed/{unquote(found['embed'])}"
    thread = f"/{unquote(found['thread'])}" if found["thread"] is not None else ""
    return f"workspace/{unquote(found['slug'])}{thread}"


def _attachments(given: Any) -> list[dict[str, Any]]:
    if given is None:
        return []
    try:
        found = msgspec.convert(given, list[_Attachment])
    except msgspec.ValidationError:
        raise InvalidRequest(
            "attachments must be a list of {name, mime, contentString}", param="attachments"
        ) from None
    for number, each in enumerate(found):
        if not isinstance(each.contentString, str) or not _DATA.fullmatch(each.contentString):
            raise InvalidRequest(
                f"attachments[{number}].contentString must be a data URL in base64: data:TYPE;base64,…",
                param="attachments",
            )
    return [{"name": each.name, "mime": each.mime, "contentString": each.contentString} for each in found]


def _document(attachment: dict[str, Any]) -> Document:
    found = _DATA.fullmatch(attachment["contentString"])
    assert found is not None
    try:
        data = b64decode(found["data"])
    except (binascii.Error, ValueError):
        raise InvalidRequest("an attachment is not in base64", param="attachments") from None
    name = attachment.get("name")
    return Document(name if isinstance(name, str) and name else "attachment", data)


def _image(url: str) -> MediaPart:
    found = _DATA.fullmatch(url)
    assert found is not None
    return MediaPart(kind="image", media_type=found["type"] or "image/png", data=found["data"])


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text[:100]
