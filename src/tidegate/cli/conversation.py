"""A conversation as it is kept: the questions, their answers, and what is sent with the next question."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Message = dict[str, str]


@dataclass(frozen=True, slots=True)
class Turn:
    """A question, its answer, which may be a part of one, and the model that gave it."""

    question: str
    answer: str
    model: str


class Conversation:
    """Turns in order. A question without any answer is no turn, and can be asked again."""

    def __init__(self, model: str | None = None, system: str | None = None) -> None:
        self.model = model
        """The model to ask; None leaves it to the gateway."""
        self.system = system
        self.turns: list[Turn] = []
        self._unanswered: str | None = None

    def ask(self, question: str) -> dict[str, Any]:
        """The fields of the request for an answer to ``question``."""
        self._unanswered = question
        fields: dict[str, Any] = {"messages": [*self._messages(), {"role": "user", "content": question}]}
        return {"model": self.model, **fields} if self.model is not None else fields

    def answered(self, answer: str, model: str | None) -> None:
        """Keep what the last question brought; a part of an answer can be gone on from, nothing cannot."""
        if self._unanswered is not None and answer.strip():
            self.turns.append(Turn(self._unanswered, answer, model or self.model or "assistant"))
            self._unanswered = None

    def take_back(self) -> str | None:
        """The last question, taken out of the conversation to be asked again; None when there is none."""
        if self._unanswered is None and self.turns:
            self._unanswered = self.turns.pop().question
        return self._unanswered

    def clear(self) -> None:
        """Forget all turns, but not the system message."""
        self.turns = []
        self._unanswered = None

    def save(self, path: Path) -> None:
        """Write the conversation, as a request to ``*.json`` and else as Markdown. Raises OSError."""
        text = self._as_json() if path.suffix.lower() == ".json" else self._as_markdown()
        path.write_text(text, encoding="utf-8", errors="replace")

    def _messages(self) -> list[Message]:
        messages = [{"role": "system", "content": self.system}] if self.system else []
        for turn in self.turns:
            messages.append({"role": "user", "content": turn.question})
            messages.append({"role": "assistant", "content": turn.answer})
        return messages

    def _as_json(self) -> str:
        return (
            json.dumps({"model": self.model, "messages": self._messages()}, ensure_ascii=False, indent=2)
            + "\n"
        )

    def _as_markdown(self) -> str:
        parts = [f"> System: {self.system}"] if self.system else []
        for turn in self.turns:
            parts += ["**You**", turn.question.strip(), f"**{turn.model}**", turn.answer.strip()]
        return "\n\n".join(parts) + "\n"
