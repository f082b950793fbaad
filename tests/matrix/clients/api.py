"""Owns what a client of the matrix is, and what all of them ask."""

from __future__ import annotations

from typing import Any, Final, Protocol

from tests.matrix.answer import Answer
from tests.raw_http import Response

Json = dict[str, Any]

QUESTION: Final = "What is the weather?"
NEXT: Final = "And then?"
PARAMETERS: Final[Json] = {"type": "object", "properties": {"city": {"type": "string"}}}
NAMES: Final = ("get_weather", "get_time")
WITH_TOOLS: Final = "tools"
"""The scenario whose request brings tools; all others bring the question alone."""


class Client(Protocol):
    @property
    def several(self) -> str | None:
        """The field that asks for more than one answer, where the dialect has one."""
        ...

    def path(self, model: str, *, stream: bool) -> str: ...

    def body(self, model: str, scenario: str, *, stream: bool) -> Json: ...

    def asking_for(self, count: int, body: Json) -> Json:
        """The same request for several answers."""
        ...

    def stream(self, response: Response) -> Answer: ...

    def whole(self, value: Any) -> Answer: ...

    def again(self, model: str, value: Any) -> Json:
        """A request for the next turn after a whole answer: its calls get results, and a question follows."""
        ...

    def refusal(self, value: Any) -> str:
        """The words of an error response, whose envelope is checked."""
        ...

    def beats(self, body: bytes) -> int:
        """How many keep-alives are in the beginning of a stream."""
        ...
