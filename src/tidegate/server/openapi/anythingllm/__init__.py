"""The operations below ``/api``: AnythingLLM's developer API, a module for each family of its paths."""

from __future__ import annotations

from typing import Any, Final

from tidegate.server.openapi.anythingllm import (
    as_openai,
    chats,
    documents,
    embeds,
    forms,
    instance,
    threads,
    users,
    workspaces,
)

Json = dict[str, Any]

TAGS: Final = [
    {"name": "workspaces", "description": "Workspaces, as AnythingLLM's clients know them."},
    {"name": "documents", "description": "What workspaces answer from."},
    {"name": "embeds", "description": "Doors into workspaces, for web pages that have no key."},
    {"name": "users", "description": "Users of an owner, where `workspaces: {multi_user: true}` is set."},
    {"name": "instance", "description": "The gateway, as AnythingLLM's clients ask about theirs."},
]

_FAMILIES: Final = (workspaces, chats, threads, documents, as_openai, embeds, instance, users)


def paths() -> Json:
    """Operations by path and method, of every path below ``/api``."""
    found: Json = {}
    for family in _FAMILIES:
        for path, methods in family.paths().items():
            found.setdefault(path, {}).update(methods)
    return found


def schemas() -> Json:
    """The schemas of all these."""
    found: Json = forms.schemas()
    for family in (workspaces, chats, documents, embeds, instance, users):
        found |= family.schemas()
    return found
