"""How much to think, said at the end of a model's name, for clients that can choose a model and no more."""

from __future__ import annotations

import re
from typing import Final

from tidegate.core.request import Reasoning

_SUFFIX: Final = re.compile(
    r"(?P<model>.+)-(?:(?P<effort>minimal|low|medium|high)|(?P<off>nothinking)|thinking(?:-(?P<budget>[1-9]\d{0,6}))?)"
)


def split_suffix(name: str) -> tuple[str, Reasoning] | None:
    """The model's own name and what the rest asks for; None where no such rest is there.

    ``-minimal``, ``-low``, ``-medium``, ``-high``, ``-thinking``, ``-nothinking``; ``-thinking-N`` tokens.
    """
    found = _SUFFIX.fullmatch(name)
    if found is None:
        return None
    if found["effort"]:
        return found["model"], Reasoning(effort=found["effort"])
    if found["off"]:
        return found["model"], Reasoning(effort="none", enabled=False)
    return found["model"], Reasoning(budget=int(found["budget"]) if found["budget"] else None, enabled=True)
