"""A Gemini request's ``contents`` as messages (https://ai.google.dev/api/caching#Content)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from tidegate.core.message import (
    AnyPart,
    CallPart,
    ForeignPart,
    MediaKind,
    MediaPart,
    Message,
    ResultPart,
    TextPart,
    ThinkingPart,
)
from tidegate.dialects.gemini.arguments import text_of_object
from tidegate.dialects.gemini.signatures import untag
from tidegate.dialects.gemini.words import NAME
from tidegate.errors import InvalidRequest

Fields = dict[str, Any]

_SPELLINGS: Final = {
    "inline_data": "inlineData",
    "file_data": "fileData",
    "function_call": "functionCall",
    "function_response": "functionResponse",
    "thought_signature": "thoughtSignature",
    "mime_type": "mimeType",
    "file_uri": "fileUri",
    "display_name": "displayName",
}
_FILES = "generativelanguage.googleapis.com/"


def spelled(fields: Any, spellings: Mapping[str, str] = _SPELLINGS) -> Fields:
    """An object's members under their usual names: those of protocol buffers are taken as well."""
    if not isinstance(fields, dict):
        raise TypeError(f"an object was expected, not {fields!r:.80}")
    return {spellings.get(name, name): value for name, value in fields.items()}


def read_contents(contents: Any) -> Iterator[Message]:
    """The messages of a conversation. Calls without ids get ids here, and results find them by name.

    A model's turn may come as a content for every chunk that it was streamed in.
    """
    waiting: dict[str, list[str]] = {}
    said: list[AnyPart] = []
    for at, given in enumerate(contents if isinstance(contents, list) else [contents]):
        content = {"parts": given} if isinstance(given, str) else given
        role = content.get("role") or "user"
        if role not in ("user", "model", "function"):
            raise InvalidRequest(
                f"'contents[{at}].role' must be user or model, not {role!r}", param=f"contents[{at}].role"
            )
        parts = tuple(_parts(content.get("parts"), at, waiting))
        if role == "model":
            said += parts
            continue
        if said:
            yield Message("assistant", tuple(_joined(said)))
            said = []
        yield Message("user", parts)
    if said:
        yield Message("assistant", tuple(_joined(said)))


def read_instruction(instruction: Any) -> Iterator[Message]:
    """The system prompt, a content object or a text."""
    if isinstance(instruction, str):
        yield Message("system", (TextPart(text=instruction),))
    elif instruction:
        yield Message("system", tuple(_parts(instruction.get("parts"), 0, {})))


def _parts(parts: Any, at: int, waiting: dict[str, list[str]]) -> Iterator[AnyPart]:
    for number, given in enumerate(parts if isinstance(parts, list) else [parts] if parts else ()):
        part = {"text": given} if isinstance(given, str) else spelled(given)
        signature = part.get("thoughtSignature")
        if part.get("thought"):
            yield _thought(str(part.get("text") or ""), signature)
            continue
        if isinstance(signature, str):
            yield _thought("", signature)
        if "functionCall" in part:
            yield _call(part["functionCall"], f"call_{at}_{number}", waiting)
        elif "functionResponse" in part:
            yield _result(part["functionResponse"], waiting)
        elif part.get("text") is not None:
            if part["text"]:
                yield TextPart(text=part["text"])
        else:
            reader = next((_READERS[name] for name in _READERS if name in part), None)
            yield reader(part) if reader else ForeignPart(dialect=NAME, value=given)


def _thought(text: str, signature: Any) -> ThinkingPart:
    if not isinstance(signature, str):
        return ThinkingPart(text=text)
    origin, signed, redacted = untag(signature)
    return ThinkingPart(text=text, signature=signed, redacted=redacted, origin=origin)


def _call(given: Any, made: str, waiting: dict[str, list[str]]) -> CallPart:
    call = spelled(given)
    call_id = str(call.get("id") or made)
    waiting.setdefault(call["name"], []).append(call_id)
    return CallPart(call_id=call_id, name=call["name"], arguments=text_of_object(call.get("args") or {}))


def _result(given: Any, waiting: dict[str, list[str]]) -> ResultPart:
    result = spelled(given)
    name = str(result["name"])
    queue = waiting.get(name) or []
    call_id = str(result.get("id") or (queue[0] if queue else f"call_{name}"))
    if call_id in queue:
        queue.remove(call_id)
    text, error = _response(result.get("response"))
    content: list[TextPart | MediaPart] = [TextPart(text=text)] if text else []
    for each in result.get("parts") or ():
        part = spelled(each)
        reader = next((_READERS[key] for key in _READERS if key in part), None)
        if reader is not None:
            content.append(reader(part))
    return ResultPart(call_id=call_id, content=tuple(content), error=error, name=name)


def _response(response: Any) -> tuple[str, bool]:
    """What a tool answered, and whether that is an error: by convention the members output and error."""
    if isinstance(response, dict) and len(response) == 1:
        [(name, value)] = response.items()
        if name in ("output", "result", "error"):
            return value if isinstance(value, str) else text_of_object(value), name == "error"
    return ("" if response is None else text_of_object(response)), False


def _inline(part: Fields) -> MediaPart:
    blob = spelled(part["inlineData"])
    media_type = str(blob["mimeType"])
    data = str(blob["data"]).replace("-", "+").replace("_", "/")  # the SDKs write the other alphabet
    return MediaPart(kind=_kind(media_type), media_type=media_type, data=data, name=blob.get("displayName"))


def _file(part: Fields) -> MediaPart:
    file = spelled(part["fileData"])
    uri, media_type = str(file["fileUri"]), file.get("mimeType")
    kind, name = _kind(str(media_type or "")), file.get("displayName")
    if _FILES in uri or not uri.startswith(("http://", "https://")):
        return MediaPart(kind=kind, media_type=media_type, file_id=uri, name=name)
    return MediaPart(kind=kind, media_type=media_type, url=uri, name=name)


def _kind(media_type: str) -> MediaKind:
    kind = media_type.partition("/")[0]
    return kind if kind in ("image", "audio", "video") else "document"  # type: ignore[return-value]


_READERS: Final[Mapping[str, Callable[[Fields], MediaPart]]] = {"inlineData": _inline, "fileData": _file}


def _joined(parts: list[AnyPart]) -> Iterator[AnyPart]:
    """A model's turn as clients give it back from a stream: neighbouring texts and thoughts are one."""
    open_part: TextPart | ThinkingPart | None = None
    for part in parts:
        joined: TextPart | ThinkingPart | None = None
        if isinstance(part, TextPart) and isinstance(open_part, TextPart):
            joined = TextPart(text=open_part.text + part.text)
        elif (
            isinstance(part, ThinkingPart)
            and isinstance(open_part, ThinkingPart)
            and _goes_on(open_part, part)
        ):
            joined = ThinkingPart(
                text=open_part.text + part.text,
                signature=part.signature,
                redacted=part.redacted,
                origin=part.origin,
            )
        if joined is None and open_part is not None:
            yield open_part
        if isinstance(part, (TextPart, ThinkingPart)):
            open_part = joined or part
        else:
            open_part = None
            yield part
    if open_part is not None:
        yield open_part


def _goes_on(before: ThinkingPart, after: ThinkingPart) -> bool:
    """Whether both are one block. A signature of Gemini's own stands for what follows it."""
    if before.signature is not None or before.redacted is not None:
        return False
    return bool(after.text) or after.origin != NAME
