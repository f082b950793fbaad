"""Whose fault it is that a prompt cannot be written: callers' fields may be anything until they are used."""

from __future__ import annotations

from typing import Final

import msgspec

from tidegate.core.request import Prompt
from tidegate.errors import InvalidRequest

WRONG_SHAPE: Final = (AttributeError, TypeError, LookupError, ValueError)
"""What using a value of another kind than the one that was expected ends in."""


def misfit(prompt: Prompt) -> InvalidRequest | None:
    """What is wrong with the caller's fields; None for a prompt whose every value is of its kind."""
    try:
        msgspec.convert(msgspec.to_builtins(prompt), Prompt)
    except (msgspec.ValidationError, TypeError, RecursionError) as error:
        return InvalidRequest(f"the request has a field of a shape that cannot be read: {error}")
    return None
