"""Where the log goes on: the end of the file that is written to, which compiled code may move on as well."""

from __future__ import annotations

try:
    from tidegate.streams._relay import Tail
except ImportError:  # it was installed without a compiler: then nothing else moves it

    class Tail:  # type: ignore[no-redef]
        """See ``_relay.c``."""

        __slots__ = ("base", "file", "limit", "size", "weight")

        def __init__(self) -> None:
            self.file = -1
            self.size = self.limit = self.base = self.weight = 0


__all__ = ["Tail"]
