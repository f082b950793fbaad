"""Owns ``${VAR}`` and ``${VAR:-default}`` inside the texts of a configuration file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_DEEPEST: Final = 16  # defaults within defaults; more is a mistake, and recursion must end somewhere


class ExpansionError(ValueError):
    """A reference cannot be resolved. The message is a clause that names the variable, never its value."""


def expand(text: str, environ: Mapping[str, str]) -> str:
    """Return ``text`` with every reference replaced.

    ``${VAR}`` is the value of VAR, which must be set; ``${VAR:-default}`` is the default where VAR is unset
    or empty, and a default may hold references in turn, which are looked at only where they are needed;
    ``$${`` is a literal ``${``. A dollar sign before anything but a brace is itself. Values are not expanded
    again. Raises ExpansionError.
    """
    return _expand(text, environ, 0)


def _expand(text: str, environ: Mapping[str, str], depth: int) -> str:
    if depth > _DEEPEST:
        raise ExpansionError("holds defaults within defaults, too deep to follow")
    parts = []
    position = 0
    while (start := text.find("${", position)) >= 0:
        if start > position and text[start - 1] == "$":
            parts.append(text[position : start - 1] + "${")
            position = start + 2
            continue
        end = _closing_brace(text, start + 2)
        parts.append(text[position:start])
        parts.append(_resolve(text[start + 2 : end], environ, depth))
        position = end + 1
    parts.append(text[position:])
    return "".join(parts)


def _closing_brace(text: str, position: int) -> int:
    """Return the index of the brace that closes the reference whose inside begins at ``position``."""
    open_references = 1
    while position < len(text):
        if text.startswith("${", position):
            open_references += 1
            position += 1
        elif text[position] == "}":
            open_references -= 1
            if not open_references:
                return position
        position += 1
    raise ExpansionError("holds a ${ without its closing }; write $${ for a literal ${")


def _resolve(reference: str, environ: Mapping[str, str], depth: int) -> str:
    name, colon_dash, default = reference.partition(":-")
    if not _NAME.fullmatch(name):
        raise ExpansionError("holds a ${…} that is neither ${VAR} nor ${VAR:-default}")
    value = environ.get(name)
    if colon_dash:
        return value if value else _expand(default, environ, depth + 1)
    if value is None:
        raise ExpansionError(
            f"needs the environment variable {name}, which is not set; set it, or write ${{{name}:-default}}"
        )
    return value
