"""Token counts of one generation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct


class Usage(Struct, frozen=True, gc=False, omit_defaults=True):
    """Token counts. ``cached_tokens`` and ``cache_write_tokens`` are part of the input, ``reasoning_tokens``
    part of the output.

    ``extra`` is the upstream's own usage object, whole, for the dialect that it is in. ``inner`` tells that
    all of it is counted with generations within this one.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    extra: Mapping[str, Any] | None = None
    cache_write_tokens: int = 0
    dialect: str = "openai-chat"
    inner: bool = False

    def plus(self, other: Usage) -> Usage:
        """Both together, without what is in one dialect only."""
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
        )


_LONGEST_TOKEN = 6
"""Characters; a delta that is longer on average holds several tokens."""


def tokens_of(characters: int, deltas: int) -> int:
    """About how many tokens so much text took that came in so many deltas, where nobody has counted them."""
    return max(deltas, characters // _LONGEST_TOKEN)
