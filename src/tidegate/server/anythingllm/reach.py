"""Which workspaces a caller reaches: their own, and of these what the key is for. Others look unknown."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request

from tidegate.access import Caller
from tidegate.errors import Forbidden
from tidegate.server.anythingllm.asked import caller_of
from tidegate.store.documents import Within
from tidegate.store.embeds import OwnedEmbed
from tidegate.store.workspaces import Workspace
from tidegate.workspaces.service import Workspaces


def reaches(caller: Caller, slug: str) -> bool:
    """Whether the caller's key is for a workspace of this slug."""
    return caller.workspaces is None or slug in caller.workspaces


async def workspace_at(kept: Workspaces, request: Request) -> Workspace | None:
    """The workspace that the path names. Raises StoreError, as do all here."""
    return await find(kept, caller_of(request), request.path_params["slug"])


async def find(kept: Workspaces, caller: Caller, slug: str) -> Workspace | None:
    """The caller's workspace of this slug."""
    return await kept.workspaces.get(caller.id, slug) if reaches(caller, slug) else None


async def all_of(kept: Workspaces, caller: Caller) -> Sequence[Workspace]:
    """All workspaces that the caller reaches, the oldest first."""
    return [each for each in await kept.workspaces.list(caller.id) if reaches(caller, each.slug)]


async def embed_at(kept: Workspaces, request: Request) -> OwnedEmbed | None:
    """The embed that the path names, where it leads into a workspace that the caller reaches."""
    caller = caller_of(request)
    found = await kept.embeds.owned(caller.id, request.path_params["embed"])
    return found if found is not None and reaches(caller, found.slug) else None


async def within(kept: Workspaces, caller: Caller) -> Within:
    """The workspaces whose documents a caller sees, where the key is for some of them only.

    Of others a document's name alone may tell enough.
    """
    if caller.workspaces is None:
        return None
    return [each.id for each in await all_of(kept, caller)]


def check_may_create(caller: Caller) -> None:
    """Raise Forbidden for a key that is for some workspaces only."""
    if caller.workspaces is not None:
        raise Forbidden(
            "this key is for some workspaces only and makes no new ones; use a key that is for all of them"
        )
