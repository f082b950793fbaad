"""Texts are gathered by count, by time and by sentence, and nothing of them is lost or moved."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.client import StreamBuffer

LETTERS = st.text("ab .!?。！？」）\"')\n…3", max_size=6)


async def coming(texts: list[str]) -> AsyncIterator[str]:
    for text in texts:
        yield text


async def all_of(texts: AsyncIterator[str]) -> list[str]:
    return [text async for text in texts]


def sentences(*texts: str) -> list[str]:
    return list(StreamBuffer.by_sentence().over(texts))


@given(texts=st.lists(LETTERS, max_size=20), count=st.none() | st.integers(1, 5), by_sentence=st.booleans())
def test_nothing_is_lost_or_moved(texts: list[str], count: int | None, by_sentence: bool) -> None:
    given_on = list(StreamBuffer(count, None, sentences=by_sentence).over(texts))
    assert "".join(given_on) == "".join(texts)
    assert "" not in given_on
    asynchronous = StreamBuffer(count, None, sentences=by_sentence).over(coming(texts))
    assert asyncio.run(all_of(asynchronous)) == given_on


@given(text=st.text("ab .!?。！？」）\n", max_size=40), cuts=st.lists(st.integers(1, 5), min_size=40))
def test_sentences_do_not_depend_on_how_the_text_was_cut(text: str, cuts: list[int]) -> None:
    parts, rest = [], text
    for size in cuts:
        parts.append(rest[:size])
        rest = rest[size:]
    assert "".join(sentences(*parts, rest)) == text
    letters = sentences(*text)
    assert [part.strip() for part in sentences(*letters)] == [part.strip() for part in letters]


def test_so_many_texts_are_enough() -> None:
    assert list(StreamBuffer(2, None).over("abcde")) == ["ab", "cd", "e"]
    assert list(StreamBuffer(2, None).over(["", "a", "", "b"])) == ["ab"]


def test_texts_that_have_waited_long_enough_are_given_on() -> None:
    now = [0.0]
    buffer = StreamBuffer(None, 0.1, monotonic=lambda: now[0])
    assert buffer.due is None
    assert buffer.add("a") == []
    assert buffer.due == pytest.approx(0.1)
    now[0] = 0.06
    assert buffer.add("b") == []
    now[0] = 0.11
    assert buffer.add("c") == ["abc"]
    assert buffer.flush() == []


def test_an_asynchronous_stream_that_pauses_is_given_on_in_time() -> None:
    async def paused() -> None:
        go_on = asyncio.Event()

        async def texts() -> AsyncIterator[str]:
            yield "a"
            yield "b"
            await go_on.wait()
            yield "c"

        pieces = StreamBuffer(None, 0.02).over(texts())
        assert await anext(pieces) == "ab"
        go_on.set()
        assert await anext(pieces) == "c"
        assert await anext(pieces, "over") == "over"

    asyncio.run(paused())


def test_sentences_in_english() -> None:
    assert sentences("Hel", "lo. How are", ' you? "Fine', '!" she said. Pi is 3.14', " or so.\nYes") == [
        "Hello. ",
        "How are you? ",
        '"Fine!" ',
        "she said. ",
        "Pi is 3.14 or so.\n",
        "Yes",
    ]


def test_sentences_in_chinese_and_japanese() -> None:
    assert sentences("今天天气", "很好。我们去", "公园吧！好", "吗？") == [
        "今天天气很好。",
        "我们去公园吧！",
        "好吗？",
    ]
    assert sentences("「行こう。", "」と言った。", "はい") == ["「行こう。」", "と言った。", "はい"]


def test_what_came_before_an_error_is_not_kept_back() -> None:
    def broken() -> Iterator[str]:
        yield "a"
        raise OSError("gone")

    async def broken_too() -> AsyncIterator[str]:
        yield "a"
        raise OSError("gone")

    pieces = StreamBuffer(9, None).over(broken())
    assert next(pieces) == "a"
    with pytest.raises(OSError, match="gone"):
        next(pieces)

    async def read() -> None:
        pieces = StreamBuffer(9, None).over(broken_too())
        assert await anext(pieces) == "a"
        with pytest.raises(OSError, match="gone"):
            await anext(pieces)

    asyncio.run(read())


@pytest.mark.parametrize(("count", "seconds"), [(0, None), (None, -1.0)])
def test_what_makes_no_sense_is_refused(count: int | None, seconds: float | None) -> None:
    with pytest.raises(ValueError, match=r"must (be at least 1|not be negative)"):
        StreamBuffer(count, seconds)
