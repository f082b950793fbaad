"""Owns a parser for the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tidegate.errors import Unreadable
from tidegate.workspaces.document import Parsed
from tidegate.workspaces.parsing.file import File
from tidegate.workspaces.parsing.limits import Limits
from tidegate.workspaces.parsing.reading import read

Read = Callable[..., Parsed]
Refusal = Callable[..., Unreadable]


@pytest.fixture
def read_file() -> Read:
    """Reads in this very process what is no danger to it: (data, name, media type)."""

    def run(data: bytes, name: str, media_type: str = "", **limits: int) -> Parsed:
        return read(File(data, name, media_type, Limits(**limits)))

    return run


@pytest.fixture
def refusal(read_file: Read) -> Refusal:
    """The error that a file is refused with."""

    def run(data: bytes, name: str, media_type: str = "", **limits: int) -> Unreadable:
        with pytest.raises(Unreadable) as raised:
            read_file(data, name, media_type, **limits)
        return raised.value

    return run
