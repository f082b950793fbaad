"""Knows whether the compiled part of relaying streams is here; it is optional."""

from __future__ import annotations


def relay_compiled() -> bool:
    """Whether ``tidegate.streams._relay`` can be imported; without it Python does the same, more slowly."""
    try:
        from tidegate.streams import _relay  # noqa: F401, PLC0415 (absent where nothing was compiled)
    except ImportError:
        return False
    return True
