"""Owns a tutorial that is known word by word: what the scripted upstream answers to `write_tutorial`."""

from __future__ import annotations

import json
from typing import Final

from tests.chat import text_stream
from tests.script import Script
from tests.upstream import Request

SECTIONS: Final = {
    "Installing MySQL": ["Get ", "the package ", "and **run** it."],
    "First queries": ["Type:\n\n```sql\n", "SELECT 1;\n", "```"],
    "Backups": ["Use ", "`mysqldump`, ", "every night."],
}
OUTLINE: Final = {
    "title": "MySQL in an hour",
    "sections": [{"title": title, "parts": [f"about {title}"]} for title in SECTIONS],
}
WHOLE: Final = (
    "# MySQL in an hour\n"
    + "".join(f"\n\n## {title}\n\n{''.join(words)}" for title, words in SECTIONS.items())
    + "\n"
)
USAGE: Final = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


def section_asked_for(request: Request) -> str | None:
    """The title of the section that is to be written; None where the outline is asked for."""
    prompt = request.json["messages"][0]["content"]
    return next((title for title in SECTIONS if f"Write the section {title!r}" in prompt), None)


def tutorial(request: Request) -> Script:
    """The upstream's answer to each of the agent's questions."""
    section = section_asked_for(request)
    pieces = [json.dumps(OUTLINE)] if section is None else SECTIONS[section]
    return text_stream(pieces, usage=USAGE)
