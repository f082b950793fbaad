"""What the lexical search takes for the same word, in several scripts."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.properties import examples
from tidegate.workspaces.words import BEGINNING, matching, query_words, words


@pytest.mark.parametrize(
    "forms",
    [
        "configure configured configures configuring configuration configurations",
        "policy policies",
        "run runs running",
        "bake baking baked bakes",
        "install installed installing installation installations",
        "reply replies replied replying",
        "box boxes",
        "glass glasses",
        "freeze freezing freezes",
        "Café cafe CAFÉS",
        "O'Neill O’Neill's",
        "ｆｕｌｌ full",
        "straße STRASSE",
    ],
)
def test_forms_of_a_word_are_one(forms: str) -> None:
    assert len({word for form in forms.split() for word in words(form)}) == 1


@pytest.mark.parametrize("pair", ["station state", "bus bush", "planet plan", "honey hone"])
def test_other_words_stay_apart(pair: str) -> None:
    first, second = words(pair)
    assert first != second


def test_names_are_cut_at_their_signs() -> None:
    assert words("max_connections=150") == [*words("max"), *words("connections"), "150"]


def test_chinese_gives_pairs_and_the_end_of_each_run() -> None:
    assert words("长城很长。") == ["长城", "城很", "很长", "长"]
    assert words("猫") == ["猫"]


def test_scripts_in_one_word_are_cut_apart() -> None:
    assert words("iPhone手机") == [*words("iphone"), "手机", "机"]
    assert words("서울은") == ["서울", "울은", "은"]
    assert words("ｶﾀｶﾅ") == ["カタ", "タカ", "カナ", "ナ"]


def test_a_question_keeps_what_it_is_about() -> None:
    assert query_words("What is the capital of France?") == [*words("capital"), *words("France")]
    assert query_words("红烧肉怎么做？") == ["红烧", "烧肉", "做" + BEGINNING]
    assert query_words("東京の人口は何人ですか") == ["東京", "人口"]
    assert query_words("서울의 인구") == ["서울", "인구"]


def test_a_question_of_nothing_but_grammar_has_no_words() -> None:
    assert query_words("What is it about?") == []
    assert query_words("?!") == []


def test_one_character_is_found_anywhere_in_a_run() -> None:
    asked = query_words("猫")
    assert asked == ["猫" + BEGINNING]
    for text in ("我的猫很可爱", "养猫", "猫"):
        assert matching(asked, text) == {"猫" + BEGINNING}
    assert matching(asked, "狗") == set()


@given(st.text(max_size=60))
@examples(300)
def test_words_survive_the_tokenizer_of_the_index(text: str) -> None:
    found = words(text)
    assert all(word and word.isalnum() for word in found if word.isascii())
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE VIRTUAL TABLE t USING fts5(words, content='', tokenize='ascii')")
    connection.execute("CREATE VIRTUAL TABLE v USING fts5vocab('t', 'row')")
    connection.execute("INSERT INTO t (rowid, words) VALUES (1, ?)", (" ".join(found),))
    kept = {row[0] for row in connection.execute("SELECT term FROM v")}
    connection.close()
    assert kept == set(found)


@given(st.text(max_size=60))
@examples(200)
def test_a_text_has_the_words_of_its_own_question(text: str) -> None:
    asked = query_words(text)
    assert len(asked) == len(set(asked))
    assert matching(asked, text) == set(asked)
