"""What of a conversation is sent to a model whose window is too small for all of it.

Nothing here knows a model's own tokens: four characters of ASCII count as one, and so does every other
character, which is too many for most scripts and never too few by much.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

_ASCII_PER_TOKEN: Final = 4
_USER_SHARE: Final = 0.7
_HISTORY_SHARE: Final = 0.15
_ANSWER_SHARE: Final = 0.125
"""What is left for the answer where nobody said how long it may be."""
_CUT: Final = "\n\n[…]\n\n"
_MESSAGE_TOKENS: Final = 4

ChatTurn = list[Mapping[str, Any]]
"""Messages of one question and its answer, as OpenAI Chat writes them."""


def tokens(text: str) -> int:
    """About how many tokens a text takes."""
    plain = len(text.encode("ascii", "ignore"))
    return (plain + _ASCII_PER_TOKEN - 1) // _ASCII_PER_TOKEN + len(text) - plain


def shorten(text: str, most: int) -> str:
    """A text of about ``most`` tokens: its beginning and its end, where all of it would be more."""
    has = tokens(text)
    if has <= most:
        return text
    kept = max(int(len(text) * most / has) - len(_CUT), 2)
    return f"{text[: kept - kept // 2]}{_CUT}{text[len(text) - kept // 2 :]}"


def fit(
    system: str,
    contexts: Sequence[str],
    history: Sequence[ChatTurn],
    user: str,
    window: int,
    answer: int | None,
) -> tuple[str, list[str], list[ChatTurn], str]:
    """The instructions, contexts, turns and question that fit into a window of so many tokens.

    ``history`` are turns, the oldest first; ``answer`` is how long the answer may be. The question may take
    most of the window, the turns little; what is left is for the instructions, and then for the contexts, of
    which the last go first.
    """
    room = window - min(answer or int(window * _ANSWER_SHARE), window // 2)
    total = tokens(system) + tokens(user) + sum(map(tokens, contexts)) + sum(map(turn_tokens, history))
    if total <= room:
        return system, list(contexts), list(history), user
    user = shorten(user, int(room * _USER_SHARE))
    turns = _newest(history, int(room * _HISTORY_SHARE))
    left = room - tokens(user) - sum(map(turn_tokens, turns))
    system = shorten(system, left)
    return system, _first(contexts, left - tokens(system)), turns, user


def turn_tokens(turn: ChatTurn) -> int:
    """About how many tokens the messages of a turn take."""
    return sum(_MESSAGE_TOKENS + tokens(_text(message)) for message in turn)


def _newest(history: Sequence[ChatTurn], room: int) -> list[ChatTurn]:
    kept: list[ChatTurn] = []
    for turn in reversed(history):
        room -= turn_tokens(turn)
        if room < 0:
            break
        kept.append(turn)
    return kept[::-1]


def _first(contexts: Sequence[str], room: int) -> list[str]:
    kept: list[str] = []
    for context in contexts:
        takes = tokens(context)
        if takes > room:
            if not kept and room > 0:  # better a part of the best one than nothing to answer from
                kept.append(shorten(context, room))
            break
        kept.append(context)
        room -= takes
    return kept


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(str(part.get("text", "")) for part in parts if isinstance(part, dict))
