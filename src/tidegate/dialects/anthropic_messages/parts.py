"""The content blocks of a caller's messages as typed parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from json import dumps
from typing import Any, Final

from tidegate.core.message import (
    AnyPart,
    CallPart,
    ForeignPart,
    MediaKind,
    MediaPart,
    ResultPart,
    TextPart,
    ThinkingPart,
)
from tidegate.dialects.anthropic_messages.signature import read_signature
from tidegate.dialects.anthropic_messages.usage import NAME
from tidegate.errors import InvalidRequest

Fields = dict[str, Any]


def read_parts(content: Any, where: str) -> Iterator[AnyPart]:
    """The parts of a message's content, which is text or a list of blocks. Raises InvalidRequest."""
    if isinstance(content, str):
        if content:
            yield TextPart(text=content)
        return
    for at, block in enumerate(content or ()):
        kind = block.get("type") if isinstance(block, dict) else None
        reader = _READERS.get(kind)
        if reader is None and isinstance(block, dict):
            yield ForeignPart(dialect=NAME, value=block)
            continue
        try:
            assert reader is not None
            yield reader(block)
        except (AssertionError, AttributeError, TypeError, KeyError, ValueError):
            raise InvalidRequest(
                f"'{where}[{at}]' is not a content block of the type {kind!r}", param=f"{where}[{at}]"
            ) from None


def mark_of(holder: Fields) -> Mapping[str, Any] | None:
    """The mark for the prompt cache on a block or a tool."""
    mark = holder.get("cache_control")
    return mark if isinstance(mark, dict) else None


def _text(block: Fields) -> AnyPart:
    return TextPart(text=_word(block["text"]), cache=mark_of(block))


def _media(kind: MediaKind) -> Callable[[Fields], AnyPart]:
    def read(block: Fields) -> AnyPart:
        source, cache, name = block["source"], mark_of(block), block.get("title")
        extra = _beside(block)
        match source["type"]:
            case "base64":
                return MediaPart(
                    kind=kind,
                    media_type=source["media_type"],
                    data=_word(source["data"]),
                    name=name,
                    cache=cache,
                    extra=extra,
                )
            case "url":
                return MediaPart(kind=kind, url=_word(source["url"]), name=name, cache=cache, extra=extra)
            case "file":
                return MediaPart(
                    kind=kind, file_id=_word(source["file_id"]), name=name, cache=cache, extra=extra
                )
            case "text":
                text = _word(source["data"])
            case "content":
                text = _words(source["content"])
            case _:
                return ForeignPart(dialect=NAME, value=block)
        return MediaPart(kind=kind, media_type="text/plain", text=text, name=name, cache=cache, extra=extra)

    return read


def _beside(block: Fields) -> Mapping[str, Any] | None:
    """What is asked of a document, and said of it, that other dialects have no place for."""
    said: Fields = {}
    if (block.get("citations") or {}).get("enabled"):
        said["citations"] = block["citations"]
    if block.get("context"):
        said["context"] = block["context"]
    return {NAME: said} if said else None


def _search_result(block: Fields) -> AnyPart:
    name = " ".join(str(block[key]) for key in ("title", "source") if block.get(key))
    text = _words(block.get("content") or [])
    return MediaPart(
        kind="document", media_type="text/plain", text=text, name=name or None, cache=mark_of(block)
    )


def _thinking(block: Fields) -> AnyPart:
    text, signature = _word(block.get("thinking") or ""), block.get("signature")
    if not signature:
        return ThinkingPart(text=text)
    seal = read_signature(_word(signature))
    if seal.redacted:
        return ThinkingPart(text=text, redacted=seal.value, origin=seal.origin)
    return ThinkingPart(text=text, signature=seal.value, origin=seal.origin)


def _redacted(block: Fields) -> AnyPart:
    seal = read_signature(_word(block["data"]))
    return ThinkingPart(text="", redacted=seal.value, origin=seal.origin)


def _call(block: Fields) -> AnyPart:
    arguments = dumps(block.get("input") or {}, ensure_ascii=False, separators=(",", ":"))
    return CallPart(
        call_id=_word(block["id"]), name=_word(block["name"]), arguments=arguments, cache=mark_of(block)
    )


def _result(block: Fields) -> AnyPart:
    return ResultPart(
        call_id=_word(block["tool_use_id"]),
        content=tuple(_result_content(block.get("content"))),
        error=bool(block.get("is_error")),
        cache=mark_of(block),
    )


def _result_content(content: Any) -> Iterator[TextPart | MediaPart]:
    if isinstance(content, str):
        if content:
            yield TextPart(text=content)
        return
    for block in content or ():
        reader = _READERS.get(block.get("type"))
        part = reader(block) if reader is not None else None
        if isinstance(part, (TextPart, MediaPart)):
            yield part
        else:  # nothing else has a form in a result; its words are the tool's answer all the same
            yield TextPart(text=dumps(block, ensure_ascii=False))


def _word(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a string is wanted")
    return value


def _words(content: Any) -> str:
    """The text in a document's or a search result's own blocks."""
    if isinstance(content, str):
        return content
    return "\n\n".join(block["text"] for block in content if block.get("type") == "text")


_READERS: Final[Mapping[Any, Callable[[Fields], AnyPart]]] = {
    "text": _text,
    "image": _media("image"),
    "document": _media("document"),
    "search_result": _search_result,
    "thinking": _thinking,
    "redacted_thinking": _redacted,
    "tool_use": _call,
    "tool_result": _result,
}
