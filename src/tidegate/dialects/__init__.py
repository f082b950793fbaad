"""The wire formats, discovered by file name: ``openai_chat`` holds the dialect ``openai-chat``."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from tidegate.dialects.api import Decoder, Dialect, Renderer
from tidegate.errors import ConfigError

__all__ = ["Decoder", "Dialect", "Renderer", "load_dialect"]


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
