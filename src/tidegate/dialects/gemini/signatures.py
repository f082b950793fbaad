"""What other dialects' upstreams signed, in the one place that Gemini has for signatures, and back.

A ``thoughtSignature`` is bytes in base64, which clients decode and encode again, with either alphabet; so a
foreign signature goes out as base64 of its own, with a mark of where it belongs.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error
from typing import Final, NamedTuple

from tidegate.dialects.gemini.words import NAME

_MARK: Final = "tidegate:"


class Signed(NamedTuple):
    """What a part was signed with, and by whose upstream."""

    origin: str
    signature: str | None
    redacted: str | None


def tag(origin: str | None, signature: str | None, redacted: str | None) -> str | None:
    """The ``thoughtSignature`` for what an upstream of the dialect ``origin`` signed."""
    if signature is not None and origin in (None, NAME):
        return signature
    kind, value = ("redacted", redacted) if signature is None else ("signature", signature)
    if value is None:
        return None
    return b64encode(f"{_MARK}{origin}:{kind}:{value}".encode("utf-8", "surrogatepass")).decode("ascii")


def untag(signature: str) -> Signed:
    """What a ``thoughtSignature`` stands for."""
    try:
        text = b64decode(signature.replace("-", "+").replace("_", "/") + "==").decode(
            "utf-8", "surrogatepass"
        )
    except (Error, ValueError):
        return Signed(NAME, signature, None)
    origin, _, rest = text.removeprefix(_MARK).partition(":")
    kind, found, value = rest.partition(":")
    if not text.startswith(_MARK) or not found or kind not in ("signature", "redacted"):
        return Signed(NAME, signature, None)
    return Signed(origin, value, None) if kind == "signature" else Signed(origin, None, value)
