"""Messages as the turns of a Gemini request: the roles user and model, one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from json import loads
from mimetypes import guess_type
from typing import Any, Final

from tidegate.core.message import (
    AnyPart,
    CallPart,
    ForeignPart,
    MediaPart,
    Message,
    RefusalPart,
    ResultPart,
    TextPart,
    ThinkingPart,
    text_of,
)
from tidegate.dialects.gemini.arguments import object_of_text
from tidegate.dialects.gemini.words import NAME
from tidegate.dialects.translation.customs import arguments_of

Fields = dict[str, Any]

_UNSIGNED: Final = "skip_thought_signature_validator"
"""Stands on a call that another vendor's model has made, or that was given back without its signature.

Later models refuse a call without one (https://ai.google.dev/gemini-api/docs/thought-signatures#faqs).
"""
_MEDIA_TYPES: Final = {
    "image": "image/png",
    "document": "application/pdf",
    "audio": "audio/wav",
    "video": "video/mp4",
}


def write_turns(messages: Iterable[Message], *, older: bool) -> list[Fields]:
    """The ``contents``. ``older`` models take no images inside of a tool's result, and need no signatures."""
    turns: list[Fields] = []
    names: dict[str, str] = {}
    for message in messages:
        if message.role == "assistant":
            role, parts = "model", list(_model_parts(message.parts, names, older=older))
        else:
            role, parts = "user", list(_user_parts(message.parts, names, older=older))
        if not parts:
            continue
        if turns and turns[-1]["role"] == role:
            turns[-1]["parts"] += parts
            # Calls must be followed by all of their results at once.
            turns[-1]["parts"].sort(key=lambda part: role == "user" and "functionResponse" not in part)
        else:
            turns.append({"role": role, "parts": parts})
    return turns or [{"role": "user", "parts": [{"text": " "}]}]


def _user_parts(parts: tuple[AnyPart, ...], names: dict[str, str], *, older: bool) -> Iterator[Fields]:
    results = [part for part in parts if isinstance(part, ResultPart)]
    for result in results:
        yield _result(result, names, older=older)
    if older:
        for result in results:
            yield from (_media(part) for part in result.content if isinstance(part, MediaPart))
    for part in parts:
        if isinstance(part, (TextPart, RefusalPart)):
            if part.text:
                yield {"text": part.text}
        elif isinstance(part, MediaPart):
            yield _media(part)
        elif isinstance(part, ForeignPart) and part.dialect == NAME:
            yield dict(part.value)


def _model_parts(parts: tuple[AnyPart, ...], names: dict[str, str], *, older: bool) -> Iterator[Fields]:
    signature: str | None = None
    """Stands on the part that follows."""
    called = False
    for part in parts:
        if isinstance(part, ThinkingPart):
            if part.origin != NAME or part.signature is None:
                continue  # nobody else's can be checked, and thoughts alone are of no use
            if signature is not None:
                yield {"text": "", "thoughtSignature": signature}
            signature = part.signature
            if part.text:
                yield {"text": part.text, "thought": True, "thoughtSignature": signature}
                signature = None
            continue
        written = _model_part(part, names)
        if written is None:
            continue
        if signature is not None:
            written["thoughtSignature"] = signature
        elif isinstance(part, CallPart) and not called and not older:
            written["thoughtSignature"] = _UNSIGNED
        called = called or isinstance(part, CallPart)
        signature = None
        yield written
    if signature is not None:
        yield {"text": "", "thoughtSignature": signature}


def _model_part(part: AnyPart, names: dict[str, str]) -> Fields | None:
    if isinstance(part, (TextPart, RefusalPart)):
        return {"text": part.text} if part.text else None
    if isinstance(part, CallPart):
        names[part.call_id] = part.name
        return {
            "functionCall": {
                "id": part.call_id,
                "name": part.name,
                "args": object_of_text(arguments_of(part)),
            }
        }
    if isinstance(part, MediaPart):
        return _media(part)
    if isinstance(part, ForeignPart) and part.dialect == NAME:
        return dict(part.value)
    return None


def _result(result: ResultPart, names: dict[str, str], *, older: bool) -> Fields:
    name = names.get(result.call_id) or result.name or result.call_id
    text = text_of(result.content, "\n")
    response: Fields = {"id": result.call_id, "name": name, "response": _response(text, result.error)}
    media = [] if older else [_media(part) for part in result.content if isinstance(part, MediaPart)]
    if media:
        response["parts"] = media
    return {"functionResponse": response}


def _response(text: str, error: bool) -> Fields:
    """An object, by Google's convention with the one member output or error; an object stays what it is."""
    if error:
        return {"error": text}
    if text.lstrip().startswith("{"):
        try:
            value = loads(text)
        except ValueError:
            value = None
        if isinstance(value, dict):
            return value
    return {"output": text}


def _media(part: MediaPart) -> Fields:
    if part.text is not None:
        return {"text": f"{part.name}:\n\n{part.text}" if part.name else part.text}
    media_type = part.media_type or (guess_type(part.url, strict=False)[0] if part.url else None)
    media_type = media_type or _MEDIA_TYPES[part.kind]
    if part.data is not None:
        return {"inlineData": {"mimeType": media_type, "data": part.data}}
    return {"fileData": {"mimeType": media_type, "fileUri": part.url or part.file_id or ""}}
