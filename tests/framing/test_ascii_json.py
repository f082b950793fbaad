"""What goes to clients is ASCII on one line, and means what it meant."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.properties import examples
from tidegate.wire.ascii_json import ascii_json, quote

# Every code point, lone surrogates included: a JSON text can hold them.
texts = st.text(st.characters(codec=None), max_size=20)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@examples(120)
@given(values)
def test_any_value_comes_back_as_it_was(value: Any) -> None:
    written = ascii_json(value)
    assert json.loads(written) == value


@examples(120)
@given(values)
def test_it_is_one_line_of_ascii(value: Any) -> None:
    written = ascii_json(value)
    assert written.isascii()
    assert len(written.splitlines()) <= 1


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ({"a": [1, 2.5, True, None]}, '{"a":[1,2.5,true,null]}'),
        ("世", '"\\u4e16"'),
        ("😀", '"\\ud83d\\ude00"'),
        ("\ud83d", '"\\ud83d"'),
        ("\u2028\u2029\u0085", '"\\u2028\\u2029\\u0085"'),
        ({"键": "值"}, '{"\\u952e":"\\u503c"}'),
        (2**70, str(2**70)),
    ],
)
def test_forms(value: Any, written: str) -> None:
    assert ascii_json(value) == written


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("beside", ["a", "世", "\ud800"])
def test_numbers_that_json_lacks_are_null(number: float, beside: str) -> None:
    """Python servers send them, in logprobs for one; no client's parser would take them."""
    assert json.loads(ascii_json({"n": [number], "beside": beside})) == {"n": [None], "beside": beside}


@given(texts)
def test_quoted_text_comes_back(text: str) -> None:
    assert quote(text).isascii()
    assert json.loads(quote(text)) == text
