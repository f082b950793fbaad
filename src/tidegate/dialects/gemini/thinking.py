"""How much to think, in Gemini's words, both ways (https://ai.google.dev/gemini-api/docs/thinking).

Models up to 2.5 take a budget in tokens and refuse a level; later ones want a level.
"""

from __future__ import annotations

import re
from typing import Any, Final

from tidegate.core.request import Reasoning

_BUDGETS: Final = {"minimal": 1024, "low": 1024, "medium": 8192, "high": 24576}
"""What Google's own OpenAI endpoint makes of efforts (https://ai.google.dev/gemini-api/docs/openai)."""
_OFF: Final = "none"
_OLDER = re.compile(r"gemini-[12](\.|-|$)")


def is_older(model: str) -> bool:
    """Whether a model is of the series before 3, by what its name says."""
    return _OLDER.search(model) is not None


def thinking_config(reasoning: Reasoning, model: str) -> dict[str, Any]:
    """The ``thinkingConfig`` for a wish; empty where it is none."""
    effort = reasoning.effort
    off = effort == _OFF or (effort is None and not reasoning.budget and reasoning.enabled is False)
    if off or (effort is None and reasoning.budget == 0):
        return {"thinkingBudget": 0} if is_older(model) else {"thinkingLevel": "minimal"}
    if effort is None and reasoning.budget is None:
        return {"includeThoughts": True} if reasoning.enabled or reasoning.summary else {}
    config: dict[str, Any] = {"includeThoughts": True}
    if effort is None:
        config["thinkingBudget"] = reasoning.budget
    elif is_older(model):
        config["thinkingBudget"] = _BUDGETS.get(effort, _BUDGETS["high"])
    else:
        config["thinkingLevel"] = effort if effort in _BUDGETS else "high"
    return config


def read_thinking(config: dict[str, Any]) -> Reasoning | None:
    """The wish in a ``thinkingConfig``."""
    level, budget = config.get("thinkingLevel"), config.get("thinkingBudget")
    summary = "auto" if config.get("includeThoughts") else None
    if isinstance(level, str) and not level.endswith("UNSPECIFIED"):
        return Reasoning(effort=level.lower(), summary=summary)
    if budget == 0:
        return Reasoning(enabled=False)
    if isinstance(budget, int):
        return Reasoning(budget=budget, summary=summary) if budget > 0 else Reasoning(enabled=True)
    return Reasoning(summary=summary) if summary else None
