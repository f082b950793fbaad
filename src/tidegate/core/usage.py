"""Token counts of one generation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct


class Usage(Struct, frozen=True, gc=False, omit_defaults=True):
    """Token counts. ``cached_tokens`` and ``cache_write_tokens`` are part of the input, ``reasoning_tokens``
    part of the output.

    ``extra`` is the upstream's own usage object, whole, for the dialect that it is in.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    extra: Mapping[str, Any] | None = None
    cache_write_tokens: int = 0
    dialect: str = "openai-chat"


_LONGEST_TOKEN = 6
"""Characters; a delta that is longer on average holds several tokens."""


def tokens_of(characters: int, deltas: int) -> int:
    """About how many tokens so much text took that came in so many deltas, where nobody has counted them."""
    return max(deltas, characters // _LONGEST_TOKEN)
