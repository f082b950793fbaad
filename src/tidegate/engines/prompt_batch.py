"""Chooses how many prompt tokens are computed in one go, which bounds how long a cancelled request lives on.

llama.cpp looks at nothing else while a batch is computed: not at a cancellation, not at the streams that
share the engine. Small batches keep both quick; below 32 tokens a processor reads its weights too often and
prompts get slower (16 tokens cost a quarter more than 128, measured with 32-bit weights on AVX2).
"""

from __future__ import annotations

from typing import Final

# Seconds for one batch, on the machine assumed below. Threads that share their cores with other programs wait
# for each other hundreds of times in a batch, and take five to ten times as long.
_SECONDS: Final = 0.1
_SECONDS_OF_A_GOOD_BATCH: Final = 0.2
_OPERATIONS_PER_CORE: Final = 30e9  # a second; an AVX2 core reaches 25 to 80 thousand million
_SMALLEST, _GOOD, _LARGEST = 16, 32, 256
_ON_A_GPU: Final = 512


def prompt_batch(operations_per_token: int, cores: int, *, on_gpu: bool = False) -> int:
    """Return the largest power of two that ``cores`` cores compute in well under a second, from 16 to 256."""
    if on_gpu:
        return _ON_A_GPU
    per_second = _OPERATIONS_PER_CORE * cores / max(operations_per_token, 1)
    if per_second * _SECONDS_OF_A_GOOD_BATCH < _GOOD:
        return _SMALLEST
    batch = _GOOD
    while batch * 2 <= min(per_second * _SECONDS, _LARGEST):
        batch *= 2
    return batch
