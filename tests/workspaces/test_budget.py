"""What is sent to a model fits its window, and what counts most is kept."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.properties import examples
from tidegate.workspaces.budget import ChatTurn, fit, shorten, tokens, turn_tokens

texts = st.builds(
    lambda text, times: text * times, st.sampled_from(["a word ", "潮汐", "x", "é "]), st.integers(0, 400)
)


def turn(text: str) -> ChatTurn:
    return [{"role": "user", "content": text}, {"role": "assistant", "content": "Yes."}]


@examples(200)
@given(
    system=texts,
    contexts=st.lists(texts, max_size=5),
    said=st.lists(texts, max_size=5),
    user=texts,
    window=st.integers(100, 2000),
)
def test_all_of_it_fits(system: str, contexts: list[str], said: list[str], user: str, window: int) -> None:
    told, kept, turns, asked = fit(system, contexts, [turn(each) for each in said], user, window, None)
    total = tokens(told) + sum(map(tokens, kept)) + sum(map(turn_tokens, turns)) + tokens(asked)
    assert total <= window
    assert len(kept) <= len(contexts)


def test_what_fits_is_left_as_it_is() -> None:
    history = [turn("Before?")]
    assert fit("Be brief.", ["A", "B"], history, "Now?", 1000, None) == (
        "Be brief.",
        ["A", "B"],
        history,
        "Now?",
    )


def test_the_newest_turns_and_the_best_contexts_stay() -> None:
    history = [turn(f"{number} " * 40) for number in range(9)]
    contexts = [f"{number} " * 200 for number in range(9)]
    system, kept, turns, user = fit("Be brief.", contexts, history, "Now?", 1000, 200)
    assert (system, user) == ("Be brief.", "Now?")
    assert kept == contexts[: len(kept)]
    assert turns == history[-len(turns) :]
    assert kept
    assert turns


def test_a_text_that_is_cut_keeps_both_ends() -> None:
    cut = shorten("begin " + "middle " * 500 + "end", 50)
    assert cut.startswith("begin")
    assert cut.endswith("end")
    assert tokens(cut) <= 60
