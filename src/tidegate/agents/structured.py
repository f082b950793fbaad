"""Answers that fit a type: the model is told the schema, and what it says is read and checked, never run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from json import dumps
from typing import Any, Final, TypeVar

import msgspec

from tidegate.agents.agent import AgentError
from tidegate.agents.asking import Asking
from tidegate.errors import SourceError

Form = TypeVar("Form")
Ask = Callable[..., Asking]

_TRIES: Final = 2
_REFUSED: Final = frozenset({400, 404, 415, 422, 501})
"""How upstreams answer that know no response format."""


async def ask_for(
    ask: Ask,
    form: type[Form],
    model: str | None,
    prompt: str | Sequence[Mapping[str, Any]],
    fields: Mapping[str, Any],
) -> Form:
    """A value of the type ``form``, asked for with ``ask``. Raises AgentError where none can be had."""
    schema = schema_of(form)
    messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else list(prompt)
    wish = (
        f"Answer with JSON alone, without any words around it, that fits this JSON schema:\n{dumps(schema)}"
    )
    messages = [*messages, {"role": "user", "content": wish}]
    wanted = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    reason = ""
    for _ in range(_TRIES):
        text = await _ask(ask, model, messages, {**fields, "response_format": wanted})
        try:
            return msgspec.convert(read_json(text), form)
        except ValueError as error:
            reason = str(error)
        messages = [
            *messages,
            {"role": "assistant", "content": text},
            {"role": "user", "content": f"That does not fit: {reason}. Answer again, with the JSON alone."},
        ]
    raise AgentError(f"the model did not answer in the form that was asked for: {reason}")


async def _ask(ask: Ask, model: str | None, messages: Sequence[Mapping[str, Any]], fields: Any) -> str:
    try:
        return await ask(model, messages, **fields)
    except SourceError as error:
        if error.status not in _REFUSED:
            raise
    # The words in the prompt will have to do.
    return await ask(model, messages, **{**fields, "response_format": {"type": "text"}})


def read_json(text: str) -> Any:
    """The JSON value in a model's answer, which may stand among words or in a fence. Raises ValueError."""
    decoder = msgspec.json.Decoder()
    try:
        return decoder.decode(text)
    except msgspec.DecodeError as error:
        reason = error
    for opening, closing in ("{}", "[]"):
        start, end = text.find(opening), text.rfind(closing)
        if 0 <= start < end:
            try:
                return decoder.decode(text[start : end + 1])
            except msgspec.DecodeError as error:
                reason = error
    raise ValueError(f"no JSON was found ({reason})")


def schema_of(form: type[Any]) -> dict[str, Any]:
    """The JSON schema of a type, in one piece where it can be: some servers do not follow references."""
    (schema,), parts = msgspec.json.schema_components([form], ref_template="#/{name}")
    try:
        inlined: dict[str, Any] = _inlined(schema, parts)
    except RecursionError:  # a type that holds itself
        return msgspec.json.schema(form)
    return inlined


def _inlined(schema: Any, parts: Mapping[str, Any]) -> Any:
    if isinstance(schema, dict):
        reference = schema.get("$ref")
        if isinstance(reference, str):
            return _inlined(parts[reference.removeprefix("#/")], parts)
        return {name: _inlined(value, parts) for name, value in schema.items()}
    if isinstance(schema, list):
        return [_inlined(value, parts) for value in schema]
    return schema
