"""What a model is told before it answers from documents: instructions, passages, and where these are from."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

RESET: Final = "Chat history was reset!"

_VARIABLE: Final = re.compile(r"\{([a-z]+(?:\.[a-z]+)?)\}")


def expand(prompt: str, now_ms: int, names: Mapping[str, str]) -> str:
    """A prompt with its variables replaced: ``{date}``, ``{time}``, ``{datetime}`` in UTC, and ``names``.

    What is no variable stays as it is.
    """
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    known = {
        "date": now.strftime("%d %B %Y"),
        "time": now.strftime("%H:%M:%S UTC"),
        "datetime": now.strftime("%A, %d %B %Y, %H:%M UTC"),
        **names,
    }
    return _VARIABLE.sub(lambda found: known.get(found[1], found[0]), prompt)


def with_contexts(prompt: str, contexts: Sequence[str]) -> str:
    """The instructions and what was found, numbered as AnythingLLM does it."""
    if not contexts:
        return prompt
    told = "".join(
        f"[CONTEXT {number}]:\n{text}\n[END CONTEXT {number}]\n\n" for number, text in enumerate(contexts)
    )
    return f"{prompt}\nContext:\n{told}"


def passage_context(source: Mapping[str, Any]) -> str:
    """A passage as a model is shown it: with the document that it stands in."""
    facts = [f"sourceDocument: {source.get('title') or 'unknown'}"]
    if source.get("published"):
        facts.append(f"published: {source['published']}")
    if source.get("page") is not None:
        facts.append(f"page: {source['page']}")
    if source.get("heading"):
        facts.append(f"section: {source['heading']}")
    lines = "\n".join(facts)
    return f"<document_metadata>\n{lines}\n</document_metadata>\n\n{source.get('text', '')}"
