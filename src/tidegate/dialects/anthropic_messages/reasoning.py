"""How much a model is to think, in Anthropic's two forms, and which of them a model takes.

Claude 4.6 and later choose by themselves how long to think, guided by an effort; earlier ones, and the
models of other makers that are served in this dialect, are given a budget of tokens
(https://platform.claude.com/docs/en/build-with-claude/adaptive-thinking).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from tidegate.core.request import Reasoning

Fields = dict[str, Any]

LEAST_BUDGET: Final = 1024
DEFAULT_MAX_TOKENS: Final = 8192
"""The limit of an answer for which the caller gave none; this dialect requires one."""

_BUDGETS: Final[Mapping[str, int]] = {
    "minimal": 1024,
    "low": 2048,
    "medium": 8192,
    "high": 16384,
    "xhigh": 24576,
    "max": 32000,
}
_EFFORTS: Final = ((4096, "low"), (16384, "medium"))
"""Budgets in tokens below which an effort is this; beyond them it is ``high``."""

_ADAPTIVE: Final = (4, 6)
_WITHOUT_SAMPLING: Final = (4, 7)
"""Versions from which a model thinks by effort, and from which it takes no sampling parameters."""

_VERSION: Final = re.compile(r"claude(?:-[a-z]+)?-(\d{1,2})(?:[-.](\d{1,2})(?!\d))?(?!\d)")


def version_of(model: str) -> tuple[int, int] | None:
    """The version in the name of a Claude model, whichever side of the family's name it stands."""
    found = _VERSION.search(model.lower())
    return (int(found[1]), int(found[2] or 0)) if found else None


def is_adaptive(model: str) -> bool:
    """Whether a model takes an effort in place of a budget."""
    version = version_of(model)
    return version is not None and version >= _ADAPTIVE


def takes_sampling(model: str) -> bool:
    """Whether a model takes temperature, top_p and top_k."""
    version = version_of(model)
    return version is None or version < _WITHOUT_SAMPLING


def wants_thinking(reasoning: Reasoning | None) -> bool:
    """Whether thinking was asked for, in any words."""
    if reasoning is None or reasoning.enabled is False or reasoning.effort == "none":
        return False
    return bool(reasoning.effort or reasoning.budget or reasoning.enabled)


def budget_of(reasoning: Reasoning) -> int:
    """Tokens to think with, where only a word was said."""
    if reasoning.budget is not None:
        return max(reasoning.budget, LEAST_BUDGET)
    return _BUDGETS.get(reasoning.effort or "medium", _BUDGETS["medium"])


def fits(reasoning: Reasoning, model: str, max_tokens: int | None) -> bool:
    """Whether thinking is possible within the limit of the answer, of which it is a part."""
    return is_adaptive(model) or max_tokens is None or max_tokens > LEAST_BUDGET


def write_reasoning(reasoning: Reasoning, model: str, max_tokens: int | None) -> Fields:
    """The members of a request that say how much to think, and its ``max_tokens`` where there was none."""
    if not wants_thinking(reasoning):
        return {} if is_adaptive(model) else {"thinking": {"type": "disabled"}}
    if is_adaptive(model):
        fields: Fields = {"thinking": {"type": "adaptive"}}
        if (effort := _effort_of(reasoning)) is not None:
            fields["output_config"] = {"effort": effort}
        return fields
    budget = budget_of(reasoning)
    if max_tokens is None:
        fields = {"max_tokens": budget + DEFAULT_MAX_TOKENS}
    else:
        # A budget that was named may take all but one token, one of ours leaves a quarter to the answer.
        most = max_tokens - 1 if reasoning.budget is not None else max_tokens * 3 // 4
        budget, fields = max(min(budget, most), LEAST_BUDGET), {}
    return {**fields, "thinking": {"type": "enabled", "budget_tokens": budget}}


def _effort_of(reasoning: Reasoning) -> str | None:
    if reasoning.effort is not None:
        return "low" if reasoning.effort == "minimal" else reasoning.effort
    if reasoning.budget is None:
        return None
    return next((word for below, word in _EFFORTS if reasoning.budget < below), "high")
