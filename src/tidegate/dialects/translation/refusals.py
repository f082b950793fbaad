"""What upstreams of every dialect answer when a request is longer than their model's context.

There is no one code for it: some have a word, most only say it (rows of several vendors below).
"""

from __future__ import annotations

import re
from typing import Final

from tidegate.errors import Rejected, TooLong

CODE: Final = "context_length_exceeded"
"""OpenAI's code for it, which clients look for."""

_BLAMES_REQUEST: Final = frozenset({400, 413, 422})
_WORDS: Final = frozenset({CODE, "exceed_context_size_error", "model_context_window_exceeded"})
"""Codes and types of errors: OpenAI's, llama.cpp's, Anthropic's."""

_SAID: Final = re.compile(
    r"maximum context length|context[ _](?:length|window|size|limit)|prompt is too long"
    r"|input token count|too many (?:input )?tokens|prompt (?:contains|has) \d+ tokens",
    re.IGNORECASE,
)
"""OpenAI, vLLM, OpenRouter; llama.cpp, Ollama, Groq; Anthropic; Google; Mistral; Cohere."""


def refusal(
    message: str,
    *,
    status: int,
    type: str,  # noqa: A002 - the word on the wire
    code: str | None = None,
    param: str | None = None,
    retry_after: float | None = None,
    retryable: bool,
) -> Rejected:
    """An upstream's refusal in its own words: TooLong when it is one for the length of the request."""
    known = code in _WORDS or type in _WORDS
    too_long = known or (status in _BLAMES_REQUEST and _SAID.search(message) is not None)
    return (TooLong if too_long else Rejected)(
        message,
        status=status,
        type=type,
        code=CODE if too_long and code not in _WORDS else code,
        param=param,
        retry_after=retry_after,
        retryable=retryable and not too_long,
    )
