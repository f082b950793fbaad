"""A legacy completion in no dialect: its prompt is one message of the user."""

from __future__ import annotations

from typing import Any, Final

from tidegate.core.message import Message, TextPart
from tidegate.core.request import Prompt, Request
from tidegate.dialects.translation.body import decode_fields
from tidegate.errors import InvalidRequest, Unsupported

_AS_THEY_ARE: Final = (
    "max_tokens",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "user",
)
_READ: Final = frozenset(
    {*_AS_THEY_ARE, "model", "prompt", "stream", "stream_options", "n", "stop", "logprobs", "echo", "suffix"}
)


def read_prompt(request: Request) -> Prompt:
    """See :meth:`tidegate.dialects.api.Dialect.read_prompt`.

    Raises Unsupported for what only an upstream can do that completes raw text.
    """
    fields = {name: value for name, value in decode_fields(request.fields).items() if value is not None}
    for name in ("suffix", "echo"):
        if fields.get(name):
            raise _raw_only(name, f"{name!r}")
    stop, logprobs = fields.get("stop") or (), fields.get("logprobs")
    try:
        return Prompt(
            messages=(Message("user", (TextPart(text=_text(fields["prompt"])),)),),
            stop=(stop,) if isinstance(stop, str) else tuple(stop),
            logprobs=logprobs is not None,
            top_logprobs=logprobs or None,
            choices=request.choices,
            extra={name: value for name, value in fields.items() if name not in _READ},
            **{name: fields[name] for name in _AS_THEY_ARE if name in fields},
        )
    except (AttributeError, TypeError, KeyError, ValueError) as error:
        raise InvalidRequest(f"the request has a field of a shape that cannot be read: {error}") from None


def _text(prompt: Any) -> str:
    if isinstance(prompt, str):
        return prompt
    if not isinstance(prompt[0], str):
        raise _raw_only("prompt", "a prompt of tokens")
    if len(prompt) > 1:
        raise _raw_only("prompt", "more than one prompt")
    return str(prompt[0])


def _raw_only(field: str, what: str) -> Unsupported:
    return Unsupported(
        f"{what} cannot be passed on: the model is behind an upstream that takes conversations and does not "
        "complete raw text; leave it out, or ask another model",
        code="unsupported_parameter",
        param=field,
        retryable=False,
    )
