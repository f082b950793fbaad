"""A legacy completion that has begun: its beginning stands behind the prompt."""

from __future__ import annotations

from typing import Any

import msgspec

from tidegate.core.request import Begun
from tidegate.dialects.translation.begun import lessened, read_fields
from tidegate.errors import Unsupported

_LIMITS = ("max_tokens", "n_predict", "min_tokens")


def write_begun(body: bytes, begun: Begun) -> bytes:
    """See :class:`tidegate.dialects.api.Continuable`. Raises Unsupported for a prompt of tokens."""
    fields = read_fields(body)
    lessened(fields, _LIMITS, begun.tokens)
    prompt: Any = msgspec.json.decode(fields["prompt"])
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if not isinstance(prompt, str):
        raise Unsupported("only a prompt of text can be gone on with", param="prompt", retryable=False)
    fields["prompt"] = prompt + begun.text
    return msgspec.json.encode(fields)
