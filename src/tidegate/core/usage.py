"""Token counts of one generation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct


class Usage(Struct, frozen=True, gc=False, omit_defaults=True):
    """Token counts. ``cached_tokens`` and ``cache_write_tokens`` are part of the input, ``reasoning_tokens``
    part of the output.

    ``extra`` is the upstream's own usage object, whole, for the dialect that it is in. ``inner`` is
    the part of it that is counted with the generations within this one, where there are such.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    extra: Mapping[str, Any] | None = None
    cache_write_tokens: int = 0
    dialect: str = "openai-chat"
    inner: Usage | None = None

    def plus(self, other: Usage, times: int = 1) -> Usage:
        """Both together, without what is in one dialect only; the difference where ``times`` is -1."""
        return Usage(
            input_tokens=self.input_tokens + times * other.input_tokens,
            output_tokens=self.output_tokens + times * other.output_tokens,
            cached_tokens=self.cached_tokens + times * other.cached_tokens,
            reasoning_tokens=self.reasoning_tokens + times * other.reasoning_tokens,
            cache_write_tokens=self.cache_write_tokens + times * other.cache_write_tokens,
        )

    @property
    def own(self) -> Usage:
        """What is counted nowhere else."""
        return self if self.inner is None else self.plus(self.inner, -1)


_LONGEST_TOKEN = 6
"""Characters; a delta that is longer on average holds several tokens."""


def tokens_of(characters: int, deltas: int) -> int:
    """About how many tokens so much text took that came in so many deltas, where nobody has counted them."""
    return max(deltas, characters // _LONGEST_TOKEN)
