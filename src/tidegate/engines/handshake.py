"""What parent and child of a local engine tell each other: options in, then facts or one sentence out.

Both are one line of JSON: the options come on the child's standard input, which then stays open for as long
as the parent lives; the answer goes to its standard output, which then stays silent.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

LARGEST_LINE: Final = 1 << 20
"""Bytes; far more than either side ever sends."""


Purpose = Literal["generation", "embedding", "rerank"]
"""What a model is loaded for; llama.cpp does one at a time."""


class ChildOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How the child is to run. Paths are absolute; None leaves the choice to the child."""

    name: str
    model: str
    socket: str
    log: str
    """The file behind the child's standard error, which holds llama.cpp's own words."""
    slots: int
    context: int | None = None
    threads: int | None = None
    batch: int | None = None
    gpu_layers: int | None = None
    purpose: Purpose = "generation"


class EngineFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a loaded engine says about itself."""

    context: int
    """Tokens that one request may use, prompt and answer together."""
    slots: int
    """Requests that are computed at the same time."""
    batch: int
    """Prompt tokens computed in one go, which is how long a cancelled request can still hold its slot."""
    threads: int
    build: str
    load_seconds: float
    template_features: dict[str, bool] = {}
    """What the chat template supports, by llama.cpp's names: ``supports_tools``, ``supports_system_role``…"""
    modalities: dict[str, bool] = {}


class ChildAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The child's line: ``ready`` with its facts, or ``error`` with the sentence that the user is shown."""

    ready: EngineFacts | None = None
    error: str | None = None


def encode_line(message: ChildOptions | ChildAnswer) -> bytes:
    """Return ``message`` as one line of JSON."""
    return msgspec.json.encode(message) + b"\n"


def decode_options(line: bytes) -> ChildOptions:
    """Read the parent's line. Raises msgspec.DecodeError."""
    return msgspec.json.decode(line, type=ChildOptions)


def decode_answer(line: bytes) -> ChildAnswer:
    """Read the child's line. Raises msgspec.DecodeError."""
    return msgspec.json.decode(line, type=ChildAnswer)
