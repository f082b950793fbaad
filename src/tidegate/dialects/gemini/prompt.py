"""A Gemini request in no dialect (https://ai.google.dev/api/generate-content#request-body)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from tidegate.core.request import OutputFormat, Prompt, Request
from tidegate.core.tool import HostedTool, ToolChoice, ToolDefinition
from tidegate.dialects.gemini.contents import Fields, read_contents, read_instruction, spelled
from tidegate.dialects.gemini.schema import json_schema
from tidegate.dialects.gemini.thinking import read_thinking
from tidegate.dialects.gemini.words import NAME
from tidegate.dialects.translation.body import decode_fields
from tidegate.errors import InvalidRequest

_READ: Final = frozenset(
    {
        *("contents", "systemInstruction", "generationConfig", "tools", "toolConfig"),
        *("model", "fallback_models"),
    }
)
_SETTINGS: Final = {
    "maxOutputTokens": "max_tokens",
    "temperature": "temperature",
    "topP": "top_p",
    "topK": "top_k",
    "seed": "seed",
    "presencePenalty": "presence_penalty",
    "frequencyPenalty": "frequency_penalty",
    "responseLogprobs": "logprobs",
    "logprobs": "top_logprobs",
}
_CONFIG_READ: Final = frozenset(
    {
        *_SETTINGS,
        *("stopSequences", "candidateCount", "thinkingConfig"),
        *("responseMimeType", "responseSchema", "responseJsonSchema"),
    }
)
_MODES: Final = {"AUTO": "auto", "ANY": "required", "NONE": "none", "VALIDATED": "auto"}


def read_prompt(request: Request) -> Prompt:
    """See :meth:`tidegate.dialects.api.Dialect.read_prompt`."""
    fields = {name: value for name, value in decode_fields(request.fields).items() if value is not None}
    try:
        config = {
            name: value
            for name, value in _camel(fields.get("generationConfig") or {}).items()
            if value is not None
        }
        settings = {ours: config[name] for name, ours in _SETTINGS.items() if name in config}
        for name in ("top_k", "max_tokens"):  # numbers of this kind may be written as 40.0
            if isinstance(settings.get(name), float):
                settings[name] = int(settings[name])
        extra = {name: value for name, value in fields.items() if name not in _READ}
        extra.update(
            (f"generationConfig.{name}", value) for name, value in config.items() if name not in _CONFIG_READ
        )
        thinking = config.get("thinkingConfig")
        return Prompt(
            messages=(
                *read_instruction(fields.get("systemInstruction")),
                *read_contents(fields.get("contents") or []),
            ),
            tools=tuple(_tools(fields.get("tools"))),
            tool_choice=_tool_choice(fields.get("toolConfig")),
            stop=_stop(config.get("stopSequences")),
            choices=request.choices,
            reasoning=read_thinking(_camel(thinking)) if thinking else None,
            output=_output(config),
            extra=extra,
            **settings,
        )
    except (AttributeError, TypeError, KeyError, ValueError) as error:
        raise InvalidRequest(f"the request has a field of a shape that cannot be read: {error}") from None


def _camel(fields: Any) -> Fields:
    """An object's members in camel case, which Google's servers take in snake case as well."""
    return {_camel_word(name): value for name, value in spelled(fields).items()}


def _camel_word(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _stop(sequences: Any) -> tuple[str, ...]:
    if sequences is not None and not isinstance(sequences, list):
        raise TypeError("'generationConfig.stopSequences' must be a list")  # a text would be its letters
    return tuple(sequences or ())


def _tools(tools: Any) -> Iterator[ToolDefinition | HostedTool]:
    for tool in tools if isinstance(tools, list) else [tools] if tools else ():
        for name, value in _camel(tool).items():
            if name == "functionDeclarations":
                yield from (_function(each) for each in value or ())
            elif value is not None:
                yield HostedTool(NAME, {name: value})


def _function(given: Any) -> ToolDefinition:
    function = _camel(given)
    parameters = function.get("parametersJsonSchema")
    if parameters is None:
        parameters = json_schema(function.get("parameters"))
    return ToolDefinition(
        name=function["name"], description=function.get("description"), parameters=parameters
    )


def _tool_choice(given: Any) -> ToolChoice | None:
    config = _camel(_camel(given).get("functionCallingConfig") or {}) if given else {}
    mode = _MODES.get(str(config.get("mode", "")).upper())
    if mode is None:
        return None
    names = tuple(config.get("allowedFunctionNames") or ())
    if mode == "required" and len(names) == 1:
        return ToolChoice("tool", names)
    return ToolChoice(mode, names if mode != "none" else ())  # type: ignore[arg-type]


def _output(config: Fields) -> OutputFormat | None:
    schema = config.get("responseJsonSchema")
    if schema is None and config.get("responseSchema") is not None:
        schema = json_schema(config["responseSchema"])
    if schema is not None:
        return OutputFormat("json_schema", schema=schema)
    return OutputFormat("json_object") if config.get("responseMimeType") == "application/json" else None
