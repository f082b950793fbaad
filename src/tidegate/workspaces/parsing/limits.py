"""What reading one document may cost."""

from __future__ import annotations

from msgspec import Struct


class Limits(Struct, frozen=True, kw_only=True):
    """Bounds on one document; one that goes over any of them is refused.

    ``seconds`` is wall time from when a process begins with it. ``memory`` is the address space of that
    process in bytes. ``size`` is the longest file in bytes. ``expanded`` and ``ratio`` bound what an archive
    unfolds to, in bytes and in bytes for each of its own, ``entries`` how many files it holds. ``characters``
    bounds the text that comes out. ``depth`` is how many documents may lie within one another, as a mail in
    a mail.
    """

    seconds: float = 120.0
    memory: int = 2 << 30
    size: int = 256 << 20
    expanded: int = 512 << 20
    ratio: int = 200
    entries: int = 10_000
    characters: int = 20_000_000
    depth: int = 3


def too_much_memory(name: str, limits: Limits) -> str:
    """The sentence for a document that is too large when it is unfolded."""
    return f"{name} needs more than {limits.memory >> 20:,} MiB of memory to be read: split it"
