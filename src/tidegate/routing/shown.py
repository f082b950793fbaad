"""What was shown of an answer that broke off, and whether it can be gone on with. Pure rules, no attempts.

A continuation is correct for plain text alone: half a tool call, thinking, several choices and a text under
a constraint have a state that no upstream can be given back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from tidegate.core.event import AnyEvent, End, Finish, Item, Start, Text, Thinking, Tool
from tidegate.core.request import Begun, Prompt, Request
from tidegate.core.tool import HostedTool
from tidegate.core.usage import tokens_of
from tidegate.dialects import understand
from tidegate.errors import TidegateError

_CONSTRAINTS: Final = frozenset(
    {
        *("guided_json", "guided_regex", "guided_choice", "guided_grammar", "guided_decoding"),
        *("structured_outputs", "structural_tag", "grammar", "json_schema", "regex", "ebnf"),
        *("modalities", "audio", "prediction", "web_search_options", "mcp_servers"),
        *("continue_final_message", "prefix", "echo", "suffix"),
    }
)
"""Fields beyond the common ones that bind the form of an answer, or what it begins with."""


class Shown(Struct, frozen=True):
    """What was shown of an answer of plain text: ``seq`` events, the last of them in the block ``block``."""

    text: str
    seq: int
    block: int
    deltas: int

    @property
    def given(self) -> str:
        """The beginning that an upstream is given to go on with; none takes one that ends in white space."""
        return self.text.rstrip()

    @property
    def tail(self) -> str:
        """The white space behind it."""
        return self.text[len(self.given) :]

    @property
    def tokens(self) -> int:
        """About how many tokens it cost."""
        return tokens_of(len(self.text), self.deltas)

    @property
    def begun(self) -> Begun:
        """What a source is asked to go on with."""
        return Begun(self.given, self.tokens)


def has_shown(said: Sequence[AnyEvent]) -> bool:
    """Whether a reader has seen more of an answer than that it is coming."""
    return not all(_is_nothing(event) for event in said)


def lacks_only_its_end(request: Request, said: Sequence[AnyEvent]) -> bool:
    """Whether an answer is whole: every choice that was asked for has finished, and none is under way."""
    finished = {event.choice for event in said if isinstance(event, Finish)}
    begun = {event.choice for event in said if isinstance(event, (Text, Thinking, Tool))}
    if not finished >= begun:
        return False
    try:
        return len(finished) >= understand(request).choices
    except TidegateError:
        return False


def characters_of(said: Sequence[AnyEvent]) -> int:
    """How many characters events show."""
    return sum(
        len(event.arguments) if isinstance(event, Tool) else len(event.text)
        for event in said
        if isinstance(event, (Text, Thinking, Tool))
    )


def look(said: Sequence[AnyEvent]) -> Shown | str:
    """What was shown, or why it cannot be gone on with."""
    texts: list[str] = []
    block = 0
    for event in said:
        if isinstance(event, Text):
            if why := _why_not_after(event):
                return why
            texts.append(event.text)
            block = event.block
        elif not _is_nothing(event):
            return _UNDER_WAY.get(type(event), "more than plain text was shown")
    return Shown("".join(texts), len(said), block, len(texts))


_UNDER_WAY: Final[Mapping[type, str]] = {
    Finish: "the answer was complete but for its end",
    End: "the answer had ended",
}


def why_not(request: Request, shown: Shown) -> str | None:
    """Why no answer to a request can be gone on with; None where one can."""
    try:
        prompt = understand(request)
    except TidegateError as error:
        return error.message
    if request.reasoning is not None and _thinks(request.reasoning):
        return "thinking was asked for"
    return _why_not_asked(prompt) or _why_not_stop(prompt.stop, shown)


def _why_not_asked(prompt: Prompt) -> str | None:
    choice = prompt.tool_choice
    reasons: tuple[tuple[bool, str], ...] = (
        (prompt.choices > 1, "several choices were asked for"),
        (prompt.logprobs, "logprobs were asked for"),
        (prompt.output is not None, "JSON was asked for"),
        (prompt.reasoning is not None and _thinks(prompt.reasoning), "thinking was asked for"),
        (choice is not None and choice.mode in ("required", "tool"), "a tool call was required"),
        (any(isinstance(tool, HostedTool) for tool in prompt.tools), "the upstream runs tools of its own"),
        (_ends_with_the_assistant(prompt), "the request itself began the answer"),
        (not _CONSTRAINTS.isdisjoint(prompt.extra or ()), "the form of the answer is bound"),
    )
    return next((why for holds, why in reasons if holds), None)


def _ends_with_the_assistant(prompt: Prompt) -> bool:
    return bool(prompt.messages) and prompt.messages[-1].role == "assistant"


def _thinks(reasoning: Any) -> bool:
    return reasoning.enabled is not False and reasoning.effort != "none"


def _why_not_stop(stops: Sequence[str], shown: Shown) -> str | None:
    """A stop sequence must not have begun: whoever goes on would not know, and run past it.

    In the white space behind the text it may have, since that is said again.
    """
    for stop in stops:
        for size in range(len(shown.tail) + 1, min(len(stop), len(shown.text) + 1)):
            if shown.text.endswith(stop[:size]):
                return "a stop sequence may have begun"
    return None


def _is_nothing(event: AnyEvent) -> bool:
    return isinstance(event, Start) or (isinstance(event, Item) and event.kind in ("chunk", "choice"))


def _why_not_after(text: Text) -> str | None:
    if text.choice or text.refusal:
        return "a second choice was under way" if text.choice else "a refusal was under way"
    if text.logprobs is not None:
        return "logprobs were shown"
    for fields in (text.extra or {}).values():
        delta = fields.get("delta") if isinstance(fields, Mapping) else None
        if isinstance(delta, Mapping) and "type" in delta:
            return "more than plain text was shown"
    return None
