"""Markdown as it is written by models: shown as terminal lines, and divided while it is still being written.

Nothing of the text is left out: HTML, link targets and reference definitions are shown as they stand.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar, Final, Protocol

from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import CodeBlock, Heading, HorizontalRule, ListItem, Markdown, MarkdownElement, Paragraph
from rich.rule import Rule
from rich.segment import Segment
from rich.style import Style
from rich.syntax import Syntax
from rich.text import Text
from rich.theme import Theme

from tidegate.cli.terminal.lines import Line, rendered
from tidegate.cli.terminal.wrapping import break_offsets, has_wide

THEME: Final = Theme(
    {
        "markdown.code": "cyan",
        "markdown.h1": "bold underline",
        "markdown.h2": "bold underline",
        "markdown.h3": "bold",
        "markdown.h4": "bold italic",
        "markdown.h5": "italic",
        "markdown.h6": "italic dim",
        "markdown.block_quote": "italic",
        "markdown.link": "default",
        "markdown.link_url": "blue underline",
        "markdown.item.number": "bold",
        "markdown.table.border": "dim",
        "markdown.table.header": "bold",
    }
)
_LEFT_OUT: Final = ("html_block", "html_inline", "reference")


def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark").enable(["table", "strikethrough"]).disable(_LEFT_OUT)


def _with_shown_children(token: Token) -> Token:
    """The token with line breaks where the model made them, and every address shown once."""
    children = token.children or []
    shown: list[Token] = []
    for at, child in enumerate(children):
        if child.type == "softbreak":
            shown.append(Token("hardbreak", "br", 0))
        elif child.type == "image":
            shown.append(_text(f"{child.content} ({child.attrs.get('src', '')})"))
        elif not _marks_bare_address(children, at):
            shown.append(child)
    if children:
        token.children = shown
    return token


def _marks_bare_address(children: Sequence[Token], at: int) -> bool:
    """Whether the token at ``at`` opens or closes a link whose text is its address."""
    opening = at if children[at].type == "link_open" else at - 2 if children[at].type == "link_close" else -1
    if opening < 0 or opening + 2 >= len(children) or children[opening].type != "link_open":
        return False
    text, closing = children[opening + 1], children[opening + 2]
    return (
        closing.type == "link_close"
        and text.type == "text"
        and str(children[opening].attrs.get("href", "")).removeprefix("mailto:") == text.content
    )


def _text(content: str) -> Token:
    token = Token("text", "", 0)
    token.content = content
    return token


class _Heading(Heading):
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from _wrapped(self.text, options)


class _Paragraph(Paragraph):
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from _wrapped(self.text, options)


def _wrapped(text: Text, options: ConsoleOptions) -> RenderResult:
    if not has_wide(text.plain):
        yield text
        return
    for line in text.split("\n", allow_blank=True):
        for part in line.divide(break_offsets(line.plain, max(options.max_width, 2))):
            part.rstrip()
            yield part


class _Rule(HorizontalRule):
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Rule(style="markdown.hr")


class _Code(CodeBlock):
    """Between its fences, and flush with the text around it."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        fence = Style(dim=True)
        name = "" if self.lexer_name == "text" else self.lexer_name
        yield Text(f"```{name}", style=fence)
        code = str(self.text).rstrip()
        if code:
            yield Syntax(code, self.lexer_name, theme=self.theme, word_wrap=True, background_color="default")
        yield Text("```", style=fence)


class _Item(ListItem):
    """With a marker as it is written, and the text of all lines below each other."""

    def render_bullet(self, console: Console, options: ConsoleOptions) -> RenderResult:
        return self._marked(console, options, "•", 3)

    def render_number(
        self, console: Console, options: ConsoleOptions, number: int, last_number: int
    ) -> RenderResult:
        return self._marked(console, options, f"{number}.", len(str(last_number)) + 3)

    def _marked(self, console: Console, options: ConsoleOptions, marker: str, indent: int) -> RenderResult:
        style = console.get_style("markdown.item.number")
        inner = options.update(width=max(options.max_width - indent, 1))
        first = Segment(marker.rjust(indent - 1) + " ", style)
        rest = Segment(" " * indent)
        lines = console.render_lines(self.elements, inner, style=self.style, pad=False)
        for number, line in enumerate(lines or [[]]):
            yield rest if number else first
            yield from line
            yield Segment.line()


class ChatMarkdown(Markdown):
    """Rich's Markdown, less decorated: what is selected with a mouse can be pasted."""

    elements: ClassVar[dict[str, type[MarkdownElement]]] = {
        **Markdown.elements,
        "heading_open": _Heading,
        "paragraph_open": _Paragraph,
        "hr": _Rule,
        "fence": _Code,
        "code_block": _Code,
        "list_item_open": _Item,
    }

    def __init__(self, tokens: Iterable[Token]) -> None:
        super().__init__("", code_theme="ansi_dark", hyperlinks=False)
        self.parsed = [_with_shown_children(token) for token in tokens]


def markdown_lines(console: Console, markup: str) -> list[Line]:
    """The lines that ``markup`` takes in the width of the console, with one blank line between blocks."""
    lines: list[Line] = []
    for block in _blocks(_parser().parse(markup)):
        if lines:
            lines.append([])
        lines += _without_blank_edges(rendered(console, ChatMarkdown(block)))
    return lines


def _blocks(tokens: Iterable[Token]) -> Iterator[list[Token]]:
    """The tokens of each block that stands in no other."""
    block: list[Token] = []
    for token in tokens:
        block.append(token)
        if token.level == 0 and token.nesting <= 0:
            yield block
            block = []


def _without_blank_edges(lines: list[Line]) -> list[Line]:
    full = [number for number, line in enumerate(lines) if line]
    return lines[full[0] : full[-1] + 1] if full else []


class GrowingText(Protocol):
    """Text that is being written, divided into parts that will not change any more, and the rest."""

    rest: str
    """The part that is being written."""

    parted: bool
    """Whether a blank line stands between parts."""

    def feed(self, text: str) -> None:
        """Take more of the text."""
        ...

    def take_complete(self) -> str:
        """The parts that are complete and were not taken yet; empty when there are none."""
        ...

    def take_all(self) -> str:
        """Everything that was not taken yet: the text has ended."""
        ...

    def end_of_rest(self, lines: int) -> str:
        """The rest, or less of it if that has the same last ``lines`` when shown."""
        ...

    def shown(self, console: Console, text: str) -> list[Line]:
        """The lines of a part, or of the rest, in the width of the console."""
        ...


class GrowingLines:
    """Text that is shown as it stands; its parts are lines. Implements :class:`GrowingText`."""

    parted = False

    def __init__(self) -> None:
        self.rest = ""

    def feed(self, text: str) -> None:
        self.rest += text

    def take_complete(self) -> str:
        complete, newline, self.rest = self.rest.rpartition("\n")
        return complete + newline

    def take_all(self) -> str:
        taken, self.rest = self.rest, ""
        return taken

    def end_of_rest(self, lines: int) -> str:
        return self.rest

    def shown(self, console: Console, text: str) -> list[Line]:
        return rendered(console, Text(text.removesuffix("\n")))


class GrowingMarkdown:
    """Markdown that is rendered; its parts are blocks. Implements :class:`GrowingText`.

    A block is complete when a whole line after it has begun another: what follows cannot reach back over it.
    """

    parted = True

    def __init__(self) -> None:
        self.rest = ""
        self._looked_at = 0
        self._parser = _parser().disable("inline")

    def feed(self, text: str) -> None:
        self.rest += text

    def take_complete(self) -> str:
        end = self.rest.rfind("\n") + 1
        if end == self._looked_at:
            return ""
        self._looked_at = end
        lines = self.rest[:end].split("\n")
        tokens = self._parser.parse(self.rest[:end])
        begins = [token.map[0] for token in tokens if token.level == 0 and token.nesting >= 0 and token.map]
        if len(begins) < 2:
            return ""
        return self._take(sum(len(line) + 1 for line in lines[: begins[-1]]))

    def take_all(self) -> str:
        return self._take(len(self.rest))

    def end_of_rest(self, lines: int) -> str:
        # Code can grow to any length, and its last lines look the same without those before them.
        if self.rest.count("\n") <= lines:
            return self.rest
        tokens = self._parser.parse(self.rest)
        last = tokens[-1]
        if len(tokens) != 1 or last.type != "fence":
            return self.rest
        return f"{last.markup}{last.info}\n" + "\n".join(last.content.split("\n")[-lines:])

    def shown(self, console: Console, text: str) -> list[Line]:
        return markdown_lines(console, text)

    def _take(self, length: int) -> str:
        taken, self.rest = self.rest[:length], self.rest[length:]
        self._looked_at = self.rest.rfind("\n") + 1
        return taken
