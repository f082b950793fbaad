"""Which of a caller's streams are listed, and the archive's part of them."""

from __future__ import annotations

from msgspec import Struct

from tidegate.core.request import Header
from tidegate.streams.archive import Archive, Summary


class Wanted(Struct, frozen=True):
    """A page of a caller's streams: ``most`` behind the time in ms and the id of one, the newest first.

    ``status`` is an outcome or ``running``; ``workspaces`` are what the caller's key is for, None being all.
    """

    caller: str
    before: tuple[int, str] | None
    most: int
    status: str | None = None
    workspaces: tuple[str, ...] | None = None

    def takes(self, header: Header) -> bool:
        """Whether a stream is the caller's, and one that the key may know of."""
        return header.caller == self.caller and header.is_within(self.workspaces)


async def archived(archive: Archive, wanted: Wanted) -> list[Summary]:
    """The first of the archive that the key may know of. Raises StoreError."""
    found: list[Summary] = []
    before = wanted.before
    while True:
        page = await archive.listed(wanted.caller, before, wanted.most, wanted.status)
        found += filter(lambda summary: wanted.takes(summary.header), page)
        if len(page) < wanted.most or len(found) >= wanted.most:
            return found[: wanted.most]
        before = page[-1].created_ms, page[-1].header.id
