"""``${VAR}`` and ``${VAR:-default}``: values, defaults, escapes, and clear refusals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.config.expansion import ExpansionError, expand

ENVIRON = {"KEY": "sk-1", "EMPTY": "", "HOST": "gpu1", "TRICKY": "${KEY}"}
names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True)


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("plain", "plain"),
        ("${KEY}", "sk-1"),
        ("http://${HOST}:8000/v1", "http://gpu1:8000/v1"),
        ("${KEY}${HOST}", "sk-1gpu1"),
        ("${EMPTY}", ""),
        ("${EMPTY:-default}", "default"),
        ("${UNSET:-default}", "default"),
        ("${UNSET:-}", ""),
        ("${UNSET:-a:-b}", "a:-b"),
        ("${UNSET:-${HOST}}", "gpu1"),
        ("${UNSET:-${ALSO_UNSET:-deep}}", "deep"),
        ("${KEY:-${UNSET}}", "sk-1"),
        ("$KEY $ {KEY} $", "$KEY $ {KEY} $"),
        ("$${KEY}", "${KEY}"),
        ("${UNSET:-$${KEY}}", "${KEY}"),
        ("${TRICKY}", "${KEY}"),
        ("}", "}"),
    ],
)
def test_references_are_replaced(text: str, expanded: str) -> None:
    assert expand(text, ENVIRON) == expanded


def test_a_missing_variable_is_named() -> None:
    with pytest.raises(
        ExpansionError, match=r"OTHER, which is not set; set it, or write \$\{OTHER:-default\}"
    ):
        expand("${KEY}-${OTHER}", ENVIRON)


@pytest.mark.parametrize("text", ["${KEY", "${", "${UNSET:-${KEY}", "a ${b", "${UNSET:-$${}"])
def test_an_open_reference_is_refused(text: str) -> None:
    with pytest.raises(ExpansionError, match="without its closing }"):
        expand(text, ENVIRON)


@pytest.mark.parametrize(
    "text", ["${}", "${KEY-default}", "${KEY:?message}", "${1}", "${a b}", "${:-x}", "${ÄÖ}"]
)
def test_other_forms_are_refused(text: str) -> None:
    with pytest.raises(ExpansionError, match="neither"):
        expand(text, ENVIRON)


def test_endless_defaults_are_refused() -> None:
    with pytest.raises(ExpansionError, match="too deep"):
        expand("${A:-" * 40 + "}" * 40, {})


@given(names, st.text(), st.text(), st.text())
def test_a_value_is_put_in_its_place_and_not_read_again(
    name: str, value: str, before: str, after: str
) -> None:
    before, after = before.replace("$", ""), after.replace("$", "")
    assert expand(f"{before}${{{name}}}{after}", {name: value}) == before + value + after


@given(st.text())
def test_texts_without_references_stay(text: str) -> None:
    literal = text.replace("$", "")
    assert expand(literal, {}) == literal


@given(st.text(), st.dictionaries(names, st.text()))
def test_nothing_else_is_raised_and_no_value_shows(text: str, environ: dict[str, str]) -> None:
    with pytest.raises(ExpansionError) as raised:
        expand(text + "${S}${", {**environ, "S": "sk-never-shown"})
    assert "sk-never-shown" not in str(raised.value)


@given(st.text(alphabet="${}:-AB", max_size=30))
def test_every_mixture_of_braces_ends(text: str) -> None:
    try:
        expand(text, {"A": "a", "B": "b", "AB": "ab"})
    except ExpansionError:
        pass
