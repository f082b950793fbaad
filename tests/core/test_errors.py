"""The tree of exceptions is as it is drawn, and each knows its status."""

from __future__ import annotations

import inspect
import re

import pytest

from tidegate import errors
from tidegate.errors import SourceError, TidegateError

CLASSES = [
    each
    for each in vars(errors).values()
    if inspect.isclass(each) and issubclass(each, TidegateError) and each is not TidegateError
]


def drawn() -> dict[str, str]:
    """Every name in the drawing of the module's docstring, with the line that it stands on."""
    lines = (errors.__doc__ or "").split("::")[1].splitlines()
    found = ((re.search(r"[├└]── (\w+)", line), line) for line in lines)
    return {match[1]: line for match, line in found if match}


def test_the_drawing_has_every_exception() -> None:
    assert list(drawn()) == [each.__name__ for each in CLASSES]


def test_the_drawing_nests_as_the_classes_do() -> None:
    for each in CLASSES:
        depth = drawn()[each.__name__].index("── ") // 4
        assert depth == len(each.__mro__) - len(TidegateError.__mro__), each


@pytest.mark.parametrize("kind", CLASSES)
def test_statuses_in_the_drawing_are_true(kind: type[TidegateError]) -> None:
    told = re.search(r"\b([45]\d\d)\b(?!x)", drawn()[kind.__name__])
    if told and "(" not in drawn()[kind.__name__]:
        assert kind("x").status == int(told[1])


@pytest.mark.parametrize("kind", CLASSES)
def test_every_exception_takes_the_same_words(kind: type[TidegateError]) -> None:
    error = kind("why", status=499, type="t", code="c", param="p", retry_after=2.0)
    assert (error.message, str(error)) == ("why", "why")
    assert (error.status, error.type, error.code, error.param) == (499, "t", "c", "p")
    assert error.retry_after == 2.0
    assert kind("why").status == kind.status


def test_source_errors_are_worth_another_try_unless_they_say_otherwise() -> None:
    assert SourceError("x").retryable
    assert not SourceError("x", retryable=False).retryable
