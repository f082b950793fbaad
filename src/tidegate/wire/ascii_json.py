"""Values to JSON in ASCII, on one line: what every client can read, whatever it does with its input.

Raw U+2028, U+2029 and U+0085 end a line for some clients, and characters of several bytes are cut by others.
"""

from __future__ import annotations

from json import JSONEncoder
from json.encoder import encode_basestring_ascii
from math import isfinite
from typing import Any

import msgspec

_encode = msgspec.json.Encoder().encode
_encode_escaped = JSONEncoder(separators=(",", ":"), allow_nan=False).encode

quote = encode_basestring_ascii
"""A string as an ASCII JSON string."""


def ascii_json(value: Any) -> str:
    """JSON without a space or a character beyond ASCII."""
    # msgspec is several times as fast and leaves other characters as they are, which is seldom.
    try:
        encoded = _encode(value)
    except UnicodeEncodeError:  # a lone surrogate, which JSON can hold and UTF-8 cannot
        return _escaped(value)
    return encoded.decode("ascii") if encoded.isascii() else _escaped(value)


def _escaped(value: Any) -> str:
    try:
        return _encode_escaped(value)
    except ValueError:  # a number that JSON lacks, which Python's decoder takes and msgspec writes as null
        return _encode_escaped(_finite(value))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return value if not isinstance(value, float) or isfinite(value) else None
