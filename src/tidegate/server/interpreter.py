"""Settles how the interpreter collects, allocates and takes turns, for a process that serves streams."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys
from typing import Final

_M_MMAP_THRESHOLD: Final = -3
_LARGE_BLOCK: Final = 512 * 1024
"""Blocks of this size go back to the system when they are freed: bodies and images come seldom."""

_TURN_SECONDS: Final = 0.001


def settle_interpreter() -> None:
    """Keep the collector away from what lives as long as the process, and from hurrying over streams.

    To be called when all that is made at the start is there.
    """
    # Streams free themselves by reference counting; a full collection among thousands of them would stop
    # every one for milliseconds.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)
    # A thread that computes lets the event loop go on only when its turn ends, by default after 5 ms each
    # time: documents that were put in held streams up for 8 to 14 ms, with turns of 1 ms for 3 to 5, and took
    # no longer themselves.
    sys.setswitchinterval(_TURN_SECONDS)
    if sys.platform == "linux":
        # glibc raises its threshold with every large block that is freed, and then keeps the next ones.
        with contextlib.suppress(OSError, AttributeError):  # musl has no such call
            ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BLOCK)
