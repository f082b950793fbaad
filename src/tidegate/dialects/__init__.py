"""The wire formats, discovered by file name: ``openai_chat`` holds the dialect ``openai-chat``."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import cast

from tidegate.core.event import Failure
from tidegate.core.request import Header, Prompt, Request
from tidegate.dialects.api import Continuable, Decoder, Dialect, Naming, Renderer, Shown, Templated
from tidegate.dialects.translation import Translated
from tidegate.dialects.translation import translate as _translate
from tidegate.dialects.translation.shapes import misfit
from tidegate.dialects.translation.shown_thinking import ShownThinking
from tidegate.errors import ConfigError

__all__ = [
    "Continuable",
    "Decoder",
    "Dialect",
    "Naming",
    "Renderer",
    "Shown",
    "Templated",
    "Translated",
    "load_dialect",
    "load_shown",
    "renderer",
    "status_of",
    "translate",
    "understand",
]


@cache
def load_dialect(name: str) -> Dialect:
    """The dialect of this name, as it is written in the configuration."""
    module_name = f"{__name__}.{name.replace('-', '_')}"
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name != module_name:
            raise
        raise ConfigError(f"there is no dialect called {name!r}") from None
    return cast(Dialect, module.DIALECT)


def load_shown(name: str) -> Shown:
    """The same for whoever only shows what there is: the events themselves are no more than shown."""
    return load_dialect(name)


def renderer(dialect: Shown, header: Header) -> Renderer:
    """What turns a stream into the bytes of a response in this dialect, with the options of its header."""
    rendering = dialect.renderer(header)
    return ShownThinking(rendering) if header.thinking_to_content else rendering


def status_of(dialect: Shown, failure: Failure) -> int:
    """The HTTP status of an error: AnythingLLM's clients are told 403 of a key that is missing or wrong."""
    keyless = failure.type == "authentication_error"
    return 403 if dialect.name == "anythingllm" and keyless else failure.status


def understand(request: Request) -> Prompt:
    """A caller's request in no dialect. Raises InvalidRequest for what makes no sense."""
    prompt = load_dialect(request.dialect).read_prompt(request)
    wrong = misfit(prompt)
    if wrong is not None:
        raise wrong
    return prompt


def translate(request: Request, upstream: Dialect, model: str, quirks: frozenset[str]) -> Translated:
    """The body of ``request`` for an upstream; see :mod:`tidegate.dialects.translation`."""
    return _translate(request, load_dialect(request.dialect), upstream, model, quirks)
