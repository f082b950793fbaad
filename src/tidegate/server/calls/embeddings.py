"""Embeddings: whatever form an upstream gives them in, callers get the one that they asked for.

OpenAI's form (https://platform.openai.com/docs/api-reference/embeddings): numbers, or the little-endian
float32 values in base64; ``dimensions`` numbers each, as long as 1.
"""

from __future__ import annotations

import base64
import binascii
import struct
from math import sqrt
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from tidegate.dialects.translation.body import read_body
from tidegate.errors import Broken, InvalidRequest

Numbers = list[float]

UNREADABLE: Final = (
    msgspec.DecodeError,
    RecursionError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
    ArithmeticError,
    struct.error,
)
"""What reading an answer of another shape ends in, or of numbers that are none or too large."""


class Wanted(Struct, frozen=True):
    """What the answer must be like, whatever the upstream makes of the request."""

    input: str | list[Any]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = None


_wanted = msgspec.json.Decoder(Wanted)


def read_wanted(body: bytes) -> Wanted:
    """What a body asks for. Raises InvalidRequest."""
    wanted, _ = read_body(body, _wanted)
    if not wanted.input:
        raise InvalidRequest("'input' is empty; send a text, or a list of texts or of tokens", param="input")
    if wanted.dimensions is not None and wanted.dimensions < 1:
        raise InvalidRequest("'dimensions' must be 1 or more", param="dimensions")
    return wanted


def answer(body: bytes, wanted: Wanted) -> dict[str, Any]:
    """The answer for a caller, from an upstream's. Raises Broken for one that holds no embeddings."""
    try:
        told = msgspec.json.decode(body)
        rows = [_row(index, each, wanted) for index, each in enumerate(told["data"])]
    except UNREADABLE as error:
        raise Broken(f"the upstream's answer holds no embeddings ({type(error).__name__})") from None
    return {
        **told,
        "object": "list",
        "data": rows,
        "usage": _usage(told.get("usage"), wanted),
    }


def _row(index: int, told: dict[str, Any], wanted: Wanted) -> dict[str, Any]:
    value = told["embedding"]
    row = {**told, "object": "embedding", "index": told.get("index", index)}
    as_text = wanted.encoding_format == "base64"
    size = wanted.dimensions
    if isinstance(value, str):
        if as_text and size is None:
            return row
        value = unpack(value)
    if size is not None and len(value) != size:
        value = resize(value, size)
    return {**row, "embedding": pack(value) if as_text else value}


def resize(vector: Numbers, size: int) -> Numbers:
    """A vector of ``size`` numbers: the first ones, of length 1 again, or all of them and zeros."""
    if len(vector) < size:
        return vector + [0.0] * (size - len(vector))
    cut = vector[:size]
    length = sqrt(sum(each * each for each in cut))
    return [each / length for each in cut] if length else cut


def pack(vector: Numbers) -> str:
    """Numbers as base64 of little-endian float32."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode("ascii")


def unpack(text: str) -> Numbers:
    """The numbers in base64. Raises ValueError."""
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None
    if len(data) % 4:
        raise ValueError("not a whole number of float32 values")
    return list(struct.unpack(f"<{len(data) // 4}f", data))


def _usage(told: Any, wanted: Wanted) -> dict[str, Any]:
    """The counts, 0 where the upstream told nothing; tokens that the caller sent are counted."""
    usage = told if isinstance(told, dict) else {}
    count = usage.get("prompt_tokens") or usage.get("total_tokens") or _tokens_sent(wanted.input)
    return {**usage, "prompt_tokens": count, "total_tokens": usage.get("total_tokens") or count}


def _tokens_sent(sent: Any) -> int:
    if not isinstance(sent, list) or isinstance(sent[0], str):
        return 0
    return sum(len(each) for each in sent) if isinstance(sent[0], list) else len(sent)
