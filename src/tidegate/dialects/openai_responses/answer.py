"""The response object that a client gets, in ``response.created`` and at the end.

It repeats the request, with a default for every member that the schema requires; what an upstream of the
same dialect says of its response wins over that, and what is ours over both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tidegate.core.event import Extra
from tidegate.core.request import Header
from tidegate.core.usage import Usage
from tidegate.dialects.openai_responses.tools import Called, called, echo_tools
from tidegate.dialects.openai_responses.usage import NAME, write_usage

Fields = dict[str, Any]

_DEFAULTS: Final[Mapping[str, Any]] = {
    "background": False,
    "completed_at": None,
    "frequency_penalty": 0.0,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "presence_penalty": 0.0,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": "default",
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}
_NOT_REPEATED: Final = frozenset({"completed_at"})
_OURS: Final = frozenset({"id", "object", "created_at", "status", "error", "incomplete_details", "model"})
_ASKED_HERE: Final = ("previous_response_id", "store", "instructions", "background")
"""Where the gateway stands between the two, an upstream may have been asked otherwise than we were."""

_decode_raw = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Answer:
    """Builds response objects for one stream."""

    def __init__(self, header: Header) -> None:
        asked = _asked(header)
        self.id = f"resp_{header.id}"
        self.model = header.model
        self.tools: dict[str, Called] = called(asked.get("tools"))
        """The caller's tools, by the names that sources know them under."""
        self._created = header.created
        self._fields: Fields = {**_DEFAULTS, **_repeated(asked)}
        self._asked_here = {name: self._fields[name] for name in _ASKED_HERE}

    def take(self, extra: Extra | None) -> None:
        """Take what an upstream of the same dialect says of its response."""
        told = (extra or {}).get(NAME, {}).get("response")
        if told:
            self._fields.update((name, value) for name, value in told.items() if name not in _OURS)
            self._fields.update(self._asked_here)

    def build(
        self,
        status: str,
        output: list[Fields],
        *,
        usage: Usage | None = None,
        error: Fields | None = None,
        incomplete: Fields | None = None,
    ) -> Fields:
        """The response as it stands. ``completed_at`` is our best knowledge: rendering reads no clock."""
        built: Fields = {
            "id": self.id,
            "object": "response",
            "created_at": self._created,
            "status": status,
            "error": error,
            "incomplete_details": incomplete,
            "model": self.model,
            **self._fields,
            "output": output,
            "usage": write_usage(usage) if usage is not None else None,
        }
        if status != "completed":
            built["completed_at"] = None
        elif built["completed_at"] is None:
            built["completed_at"] = self._created
        return built


def _asked(header: Header) -> Fields:
    """The request's members that a response repeats. A stream may have been asked for in another dialect."""
    if header.dialect != NAME or not header.body:
        return {}
    try:
        fields = _decode_raw(header.body)
        return {name: msgspec.json.decode(fields[name]) for name in _DEFAULTS if name in fields}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}


def _repeated(asked: Fields) -> Fields:
    repeated = {
        name: value for name, value in asked.items() if value is not None and name not in _NOT_REPEATED
    }
    if "tools" in repeated:
        repeated["tools"] = echo_tools(repeated["tools"])
    if isinstance(repeated.get("text"), dict):
        repeated["text"] = {"format": {"type": "text"}, **repeated["text"]}
    if isinstance(repeated.get("reasoning"), dict):
        repeated["reasoning"] = {"effort": None, "summary": None, **repeated["reasoning"]}
    if repeated.get("service_tier") == "auto":
        repeated["service_tier"] = "default"
    return repeated
