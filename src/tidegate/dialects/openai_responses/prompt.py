"""A Responses request in no dialect (https://platform.openai.com/docs/api-reference/responses/create)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from tidegate.core.message import Message, TextPart
from tidegate.core.request import OutputFormat, Prompt, Reasoning, Request
from tidegate.dialects.openai_responses.items import read_input
from tidegate.dialects.openai_responses.tools import read_choice, read_tools
from tidegate.dialects.translation.body import decode_fields
from tidegate.errors import InvalidRequest

Fields = dict[str, Any]

_AS_THEY_ARE: Final = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "metadata",
    "service_tier",
)
_LOGPROBS: Final = "message.output_text.logprobs"
_ELSEWHERE: Final = ("previous_response_id", "conversation", "prompt")
"""What refers to something that only the upstream that keeps it can look up."""

_NOT_TOLD: Final = frozenset(
    {
        *_AS_THEY_ARE,
        *_ELSEWHERE,
        *("model", "input", "instructions", "stream", "stream_options", "fallback_models", "stop"),
        *("tools", "tool_choice", "parallel_tool_calls", "max_output_tokens", "reasoning", "text"),
        *("user", "safety_identifier", "top_logprobs"),
        # What changes nothing about an answer that is not kept, or speaks of OpenAI's own machinery.
        *("store", "background", "include", "truncation", "client_metadata", "prompt_cache_key"),
        *("prompt_cache_retention", "prompt_cache_options"),
    }
)


def read_prompt(request: Request) -> Prompt:
    """See :meth:`tidegate.dialects.api.Dialect.read_prompt`."""
    fields = {name: value for name, value in decode_fields(request.fields).items() if value is not None}
    for name in _ELSEWHERE:
        if fields.get(name):
            raise InvalidRequest(
                f"{name!r} refers to what only an upstream that speaks openai-responses can look up; "
                "send the whole 'input' instead",
                param=name,
                code="unsupported_parameter",
            )
    try:
        return _prompt(fields)
    except (AttributeError, TypeError, KeyError, ValueError) as error:
        raise InvalidRequest(f"the request has a field of a shape that cannot be read: {error}") from None


def _prompt(fields: Fields) -> Prompt:
    stop, text = fields.get("stop") or (), fields.get("text") or {}
    top_logprobs = fields.get("top_logprobs") or None
    return Prompt(
        messages=tuple(_messages(fields)),
        tools=tuple(read_tools(fields.get("tools"))),
        tool_choice=read_choice(fields.get("tool_choice")),
        parallel_tools=fields.get("parallel_tool_calls"),
        max_tokens=fields.get("max_output_tokens"),
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
        logprobs=bool(top_logprobs) or _LOGPROBS in (fields.get("include") or ()),
        top_logprobs=top_logprobs,
        reasoning=_reasoning(fields.get("reasoning")),
        output=_output(text.get("format")),
        verbosity=text.get("verbosity"),
        user=fields.get("safety_identifier") or fields.get("user"),
        extra={name: value for name, value in fields.items() if name not in _NOT_TOLD},
        **{name: fields[name] for name in _AS_THEY_ARE if name in fields},
    )


def _messages(fields: Fields) -> Iterator[Message]:
    instructions = fields.get("instructions")
    if isinstance(instructions, str):
        if instructions:
            yield Message("system", (TextPart(text=instructions),))
    elif instructions:
        yield from read_input(instructions)
    yield from read_input(fields.get("input"))


def _reasoning(asked: Any) -> Reasoning | None:
    if not isinstance(asked, dict):
        return None
    effort, summary = asked.get("effort"), asked.get("summary") or asked.get("generate_summary")
    if effort is None and summary is None:
        return None
    if effort == "none":
        return Reasoning(effort=effort, enabled=False)
    return Reasoning(effort=effort, summary=summary)


def _output(form: Any) -> OutputFormat | None:
    kind = form.get("type") if isinstance(form, dict) else None
    if kind == "json_object":
        return OutputFormat("json_object")
    if kind != "json_schema":
        return None
    return OutputFormat(
        "json_schema",
        schema=form.get("schema") or {},
        name=form.get("name"),
        description=form.get("description"),
        strict=form.get("strict"),
    )
