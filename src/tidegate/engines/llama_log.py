"""Finds the reason in what llama.cpp wrote to its log, which it gives nowhere else."""

from __future__ import annotations

import re
from typing import Final

_PREFIX: Final = re.compile(r"^\d+\.\d+\.\d+\.\d+ [A-Z] ")
_LOADING: Final = "error loading model: "
_ABORTED: Final = re.compile(r"\bGGML_ASSERT\(|\bfatal error\b|terminate called|what\(\):")
_OUT_OF_MEMORY: Final = (
    "insufficient memory",
    "failed to allocate",
    "std::bad_alloc",
    "out of memory",
    "oom",
)
_LONGEST: Final = 300  # characters of a reason that is repeated to a user


def reason_for_failed_load(log: str) -> str | None:
    """Say why the model did not load, in llama.cpp's words or in better ones; None if the log is silent."""
    lines = _lines(log)
    if any(sign in line.lower() for line in lines for sign in _OUT_OF_MEMORY):
        return "there is not enough memory for it: lower `context` or `slots`, or take a smaller quantisation"
    reason = None
    for before, line in zip(["", *lines], lines, strict=False):
        _, found, words = line.partition(_LOADING)
        if found:
            # The loader's own message says only that it failed; the reader's, one line up, says why.
            reason = before if words.startswith("llama_model_loader: failed to load") else words
    if reason is None:
        reason = next((line for line in lines if "failed" in line or "error" in line), None)
    return _shortened(reason)


def reason_for_crash(log: str) -> str | None:
    """Return the last words of a process that aborted itself, None when it left none."""
    return _shortened(next((line for line in reversed(_lines(log)) if _ABORTED.search(line)), None))


def _lines(log: str) -> list[str]:
    return [_PREFIX.sub("", line).strip() for line in log.splitlines() if line.strip()]


def _shortened(reason: str | None) -> str | None:
    if not reason:
        return None
    # "gguf_init_from_reader: failed to read" : the function's name means nothing to a user.
    reason = re.sub(r"^(?:[a-z]+ +)?[a-z_0-9]+: ", "", reason)
    return reason if len(reason) <= _LONGEST else reason[:_LONGEST] + "…"
