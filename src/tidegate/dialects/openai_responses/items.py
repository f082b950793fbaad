"""The items of a Responses request's ``input``, read as messages.

Items that follow each other and are of one side make one message: a turn of the model is its reasoning, its
words and its calls together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from tidegate.core.message import (
    AnyPart,
    CallPart,
    ForeignPart,
    MediaPart,
    Message,
    RefusalPart,
    ResultPart,
    Role,
    TextPart,
)
from tidegate.dialects.openai_responses import reasoning
from tidegate.dialects.openai_responses.tools import flat_name
from tidegate.dialects.openai_responses.usage import NAME
from tidegate.dialects.translation.media import media_from_url
from tidegate.errors import InvalidRequest

Fields = dict[str, Any]

_ROLES: Final = ("system", "developer", "user", "assistant")


def read_input(given: Any) -> Iterator[Message]:
    """The messages in ``input``, which is a text or a list of items."""
    if isinstance(given, str):
        if given:
            yield Message("user", (TextPart(text=given),))
        return
    role: Role | None = None
    parts: list[AnyPart] = []
    for at, item in enumerate(given or ()):
        side, said = _read(item, f"input[{at}]")
        # A turn of the model is made of several items, and so are the results of its calls.
        same = side == role and (side == "assistant" or (_results(parts) and _results(said)))
        if role is not None and not same:
            yield Message(role, tuple(parts))
            parts = []
        role = side
        parts.extend(said)
    if role is not None:
        yield Message(role, tuple(parts))


def _results(parts: list[AnyPart]) -> bool:
    return bool(parts) and all(isinstance(part, ResultPart) for part in parts)


def _read(item: Any, where: str) -> tuple[Role, list[AnyPart]]:
    """Whose item this is, and what it says."""
    kind = item.get("type") or ("message" if "role" in item else None)
    try:
        if kind == "message":
            return _message(item, where)
        reader = _READERS.get(kind)
        if reader is not None:
            side, part = reader(item, where)
            return side, [part]
    except (AttributeError, TypeError, KeyError, ValueError):
        raise InvalidRequest(f"'{where}' is not an item of the type {kind!r}", param=where) from None
    if not isinstance(kind, str):
        raise InvalidRequest(f"'{where}' has neither a type nor a role", param=where)
    side = "user" if kind.endswith("_output") else "assistant"
    return side, [ForeignPart(dialect=NAME, value=item)]


def _message(item: Fields, where: str) -> tuple[Role, list[AnyPart]]:
    role = item["role"]
    if role not in _ROLES:
        raise InvalidRequest(
            f"'{where}.role' must be {', '.join(_ROLES[:-1])} or assistant, not {role!r}",
            param=f"{where}.role",
        )
    return role, list(_parts(item.get("content"), f"{where}.content"))


def _parts(content: Any, where: str) -> Iterator[AnyPart]:
    if isinstance(content, str):
        if content:
            yield TextPart(text=content)
        return
    for at, part in enumerate(content or ()):
        kind = part.get("type")
        reader = _PART_READERS.get(kind)
        try:
            yield ForeignPart(dialect=NAME, value=part) if reader is None else reader(part)
        except (AttributeError, TypeError, KeyError, ValueError):
            raise InvalidRequest(
                f"'{where}[{at}]' is not a part of the type {kind!r}", param=f"{where}[{at}]"
            ) from None


def _image(part: Fields) -> MediaPart:
    url, detail = part.get("image_url"), part.get("detail")
    url = url.get("url") if isinstance(url, dict) else url  # as it stands in Chat
    if url:
        return media_from_url("image", url, detail=detail)
    return MediaPart(kind="image", file_id=part["file_id"], detail=detail)


def _file(part: Fields) -> MediaPart:
    name = part.get("filename")
    if part.get("file_data"):
        data = part["file_data"]
        data = data if data.startswith("data:") else f"data:application/pdf;base64,{data}"
        return media_from_url("document", data, name=name)
    if part.get("file_url"):
        return MediaPart(kind="document", url=part["file_url"], name=name)
    return MediaPart(kind="document", file_id=part["file_id"], name=name)


def _audio(part: Fields) -> MediaPart:
    audio = part.get("input_audio") or part
    return MediaPart(
        kind="audio", media_type=f"audio/{audio.get('format') or 'wav'}", data=str(audio["data"])
    )


_PART_READERS: Final[Mapping[Any, Callable[[Fields], AnyPart]]] = {
    "input_text": lambda part: TextPart(text=part["text"]),
    "output_text": lambda part: TextPart(text=part["text"]),
    "text": lambda part: TextPart(text=part["text"]),
    "refusal": lambda part: RefusalPart(text=part["refusal"]),
    "input_image": _image,
    "input_file": _file,
    "input_audio": _audio,
}


def _call(item: Fields, where: str) -> tuple[Role, AnyPart]:
    custom = item["type"] == "custom_tool_call"
    text = item.get("input") if custom else item.get("arguments")
    return "assistant", CallPart(
        call_id=str(item.get("call_id") or item["id"]),
        name=flat_name(item["name"], item.get("namespace")),
        arguments=text or "",
        custom=custom,
    )


def _output(item: Fields, where: str) -> tuple[Role, AnyPart]:
    parts = _parts(item.get("output"), f"{where}.output")
    return "user", ResultPart(
        call_id=str(item["call_id"]),
        content=tuple(part for part in parts if isinstance(part, (TextPart, MediaPart))),
        error=item.get("status") == "incomplete",
        custom=item["type"] == "custom_tool_call_output",
    )


def _reasoning(item: Fields, where: str) -> tuple[Role, AnyPart]:
    told = item.get("content") or item.get("summary") or ()
    text = "".join(part["text"] for part in told)
    return "assistant", reasoning.read(text, item.get("encrypted_content"), item.get("id"))


_READERS: Final[Mapping[Any, Callable[[Fields, str], tuple[Role, AnyPart]]]] = {
    "function_call": _call,
    "custom_tool_call": _call,
    "function_call_output": _output,
    "custom_tool_call_output": _output,
    "reasoning": _reasoning,
}
