"""What a query says is read, or refused with a sentence."""

from __future__ import annotations

import pytest

from tidegate.errors import InvalidRequest
from tidegate.server.incoming import read_limit


def test_a_limit_is_a_number_in_its_bounds() -> None:
    assert [read_limit({"limit": each}, 100, 20) for each in ("1", "007", "100")] == [1, 7, 100]
    assert read_limit({}, 100, 20) == 20


@pytest.mark.parametrize("limit", ["", "0", "101", "-1", "1.5", "x", "\N{SUPERSCRIPT TWO}", "9" * 5000])
def test_another_limit_is_refused(limit: str) -> None:
    with pytest.raises(InvalidRequest, match="from 1 to 100"):
        read_limit({"limit": limit}, 100, 20)
