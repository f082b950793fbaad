"""Markdown that is still being written: no part is shown twice, none is missed, none changes later."""

from __future__ import annotations

import io
from functools import cache
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from tests.properties import examples
from tidegate.cli.terminal.markdown import THEME, GrowingLines, GrowingMarkdown, GrowingText, markdown_lines
from tidegate.cli.terminal.wrapping import break_offsets

DOCUMENT = """\
# Title

A paragraph with `code`, <b>HTML</b> and
a second line; see https://a.example and [there](https://b.example/x).

1. one
2. two

   still two
   - inner

10. ten
***
> quoted
goes on

| a | b |
|---|--:|
| 1 | 2 |

```python
def f():

    return "# no title"
```
Heading
=======

[ref]: https://c.example

    indented code

最后一段：没有空格的中文，也要换行。
"""


@pytest.fixture(scope="module")
def console() -> Console:
    return Console(file=io.StringIO(), width=40, theme=THEME, force_terminal=False)


def plain(console: Console, markup: str) -> list[str]:
    return ["".join(segment.text for segment in line) for line in markdown_lines(console, markup)]


def parts_of(growing: GrowingText, pieces: list[str]) -> list[str]:
    parts = []
    for piece in pieces:
        growing.feed(piece)
        parts.append(growing.take_complete())
    return [part for part in [*parts, growing.take_all()] if part]


@examples(60)
@given(st.lists(st.integers(0, len(DOCUMENT)), max_size=30))
def test_parts_shown_one_by_one_look_like_the_whole(offsets: list[int]) -> None:
    console = Console(file=io.StringIO(), width=40, theme=THEME)
    cuts = [0, *sorted(offsets), len(DOCUMENT)]
    pieces = [DOCUMENT[start:end] for start, end in pairwise(cuts)]
    parts = parts_of(GrowingMarkdown(), pieces)
    assert "".join(parts) == DOCUMENT
    shown = [plain(console, part) for part in parts if part.strip()]
    joined = [line for number, lines in enumerate(shown) for line in ([""] if number else []) + lines]
    assert joined == shown_whole()


@cache
def shown_whole() -> list[str]:
    return plain(Console(file=io.StringIO(), width=40, theme=THEME), DOCUMENT)


@examples(60)
@given(st.lists(st.text("# -*_`>|1.\n ab[]()", max_size=8), max_size=40))
def test_no_character_is_lost_or_doubled(pieces: list[str]) -> None:
    for growing in (GrowingMarkdown(), GrowingLines()):
        assert "".join(parts_of(growing, pieces)) == "".join(pieces)


def test_a_block_is_complete_when_a_whole_line_follows_it() -> None:
    growing = GrowingMarkdown()
    growing.feed("one\n\n1. a\n\n2")
    assert growing.take_complete() == "one\n\n"
    growing.feed(". b\n\nend\n")
    assert growing.take_complete() == "1. a\n\n2. b\n\n"
    assert growing.rest == "end\n"


def test_only_the_end_of_long_code_is_rendered_while_it_grows() -> None:
    growing = GrowingMarkdown()
    growing.feed("```c\n" + "".join(f"line {number}\n" for number in range(5000)))
    end = growing.end_of_rest(10)
    assert end.startswith("```c\n")
    assert end.splitlines()[-1] == "line 4999"
    assert len(end.splitlines()) <= 11


def test_nothing_of_the_text_is_left_out(console: Console) -> None:
    shown = "\n".join(plain(console, DOCUMENT))
    for text in ["<b>HTML</b>", "https://a.example", "https://b.example/x", "[ref]: https://c.example"]:
        assert text in shown.replace("\n", "")
    assert shown.count("https://a.example") == 1


def test_lines_break_where_the_model_broke_them(console: Console) -> None:
    assert plain(console, "Roses are red,\nviolets are blue.") == ["Roses are red,", "violets are blue."]


def test_code_can_be_copied(console: Console) -> None:
    assert plain(console, "```python\nif x:\n    y()\n```") == ["```python", "if x:", "    y()", "```"]


def test_items_keep_their_numbers_and_their_indent(console: Console) -> None:
    text = "9. nine\n10. ten has a text that is longer than one line"
    assert plain(console, text) == ["  9. nine", " 10. ten has a text that is longer than", "     one line"]


@given(st.text("ab，。（）世界𝒳 👍", min_size=1, max_size=60), st.integers(4, 30))
def test_wrapped_lines_fit_and_lose_nothing(text: str, width: int) -> None:
    offsets = [0, *break_offsets(text, width), len(text)]
    lines = [text[start:end] for start, end in pairwise(offsets)]
    assert "".join(lines) == text
    assert all(cell_len(line.rstrip(" ")) <= width for line in lines)


def test_punctuation_stays_with_its_text() -> None:
    assert list(break_offsets("一二三四，五", 8)) == [3]
    assert list(break_offsets("一二三（四五", 8)) == [3]
    assert list(break_offsets("世界 hello world 世界", 11)) == [9]
