"""Images, documents and sounds on their way between wire formats: data URLs, and base64 with a media type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tidegate.core.message import MediaKind, MediaPart


def media_from_url(
    kind: MediaKind,
    url: str,
    *,
    name: str | None = None,
    detail: str | None = None,
    cache: Mapping[str, Any] | None = None,
) -> MediaPart:
    """The part behind a URL, which may hold the data itself (RFC 2397, base64 only)."""
    if not url.startswith("data:"):
        return MediaPart(kind=kind, url=url, name=name, detail=detail, cache=cache)
    head, found, data = url.partition(",")
    media_type, _, coding = head.removeprefix("data:").partition(";")
    if not found or not coding.endswith("base64"):
        raise ValueError("a data URL must be in base64")
    return MediaPart(
        kind=kind, media_type=media_type or None, data=data, name=name, detail=detail, cache=cache
    )


def data_url(part: MediaPart) -> str:
    """Where a part is, or a URL that holds it."""
    if part.url is not None:
        return part.url
    default = {
        "image": "image/png",
        "document": "application/pdf",
        "audio": "audio/wav",
        "video": "video/mp4",
    }
    return f"data:{part.media_type or default[part.kind]};base64,{part.data or ''}"
