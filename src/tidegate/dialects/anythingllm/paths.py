"""The paths of chats: they name who is asked, and whether the answer is streamed."""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import unquote

from tidegate.errors import InvalidRequest

_CHAT: Final = re.compile(
    r"/api/v1/workspace/(?P<slug>[^/?]+)(?:/thread/(?P<thread>[^/?]+))?/(?P<verb>chat|stream-chat)"
    r"|/api/embed/(?P<embed>[^/?]+)/stream-chat"
)


class Place(NamedTuple):
    """What a path says: the public name of the model that is asked, and whether to stream."""

    model: str
    stream: bool


def place_of(path: str) -> Place | None:
    """What a canonical path says; None where it is not that of a chat. Raises InvalidRequest."""
    found = _CHAT.fullmatch(path)
    if found is None:
        return None
    kind = "embed" if found["slug"] is None else "workspace"
    names = [unquote(found[each]) for each in ("slug", "thread", "embed") if found[each] is not None]
    if any("/" in name for name in names):  # it would be the name of a thread
        raise InvalidRequest(f"{kind.capitalize()} {' or thread '.join(names)} is not a valid {kind}.")
    return Place("/".join([kind, *names]), found["verb"] != "chat")
