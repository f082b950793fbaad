"""The settings of an embed: which there are, their defaults, and what is taken for one.

Names and what becomes of a wrong value are those of AnythingLLM (server/models/embedConfig.js), but for
domains, which are taken as a list too: there a list meant that every page was let in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from msgspec import Struct, convert

from tidegate.store.embeds import Embed
from tidegate.wire.ascii_json import ascii_json
from tidegate.workspaces.settings import MOST, ChatMode, moment, read_number

MESSAGES: Final = 20
"""How many earlier messages an embed's model sees where nothing is said."""


_MOST_ORIGINS: Final = 1000


class EmbedSettings(Struct, frozen=True, kw_only=True):
    """What an embed lets its visitors do.

    ``allowlist_domains`` are the origins that may ask, None for every one; an empty one lets nobody in. None
    in a bound is no bound.
    """

    chat_mode: ChatMode = "query"
    allowlist_domains: tuple[str, ...] | None = None
    allow_model_override: bool = False
    allow_temperature_override: bool = False
    allow_prompt_override: bool = False
    max_chats_per_day: int | None = None
    max_chats_per_session: int | None = None
    message_limit: int | None = None


def _mode(value: Any) -> str:
    return value if value in ("chat", "query", "automatic") else "query"


def _origins(value: Any) -> list[str] | None:
    """Origins out of a list or a text with commas; None where nothing is told, empty where nothing fits."""
    if not value:
        return None
    named = value.split(",") if isinstance(value, str) else value
    given = named[:_MOST_ORIGINS] if isinstance(named, list) else []
    texts = [each.strip() for each in given if isinstance(each, str)]
    return [found for each in texts if (found := _origin(each)) is not None]


def _origin(domain: str) -> str | None:
    written = domain if domain.startswith(("http://", "https://")) else f"https://{domain}"
    try:
        found = urlsplit(written)
        port = found.port
    except ValueError:
        return None
    if not found.hostname or " " in found.netloc:
        return None
    host = f"[{found.hostname}]" if ":" in found.hostname else found.hostname
    return f"{found.scheme}://{host}" + (f":{port}" if port is not None else "")


def _bound(value: Any) -> int | None:
    number = read_number(value)
    return None if number is None or number < 1 else min(int(number), MOST)


def _switch(value: Any) -> bool:
    return value is True


_READ: Final[Mapping[str, Callable[[Any], Any]]] = {
    "chat_mode": _mode,
    "allowlist_domains": _origins,
    "allow_model_override": _switch,
    "allow_temperature_override": _switch,
    "allow_prompt_override": _switch,
    "max_chats_per_day": _bound,
    "max_chats_per_session": _bound,
    "message_limit": _bound,
}


def embed_changes(asked: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that a request sets, as they are to be kept; what is no setting is left out."""
    return {name: _READ[name](value) for name, value in asked.items() if name in _READ}


def read_embed_settings(kept: Mapping[str, Any]) -> EmbedSettings:
    """The settings that were kept, with defaults for all that were not."""
    return convert(dict(kept), EmbedSettings)


def embed_as_object(embed: Embed) -> dict[str, Any]:
    """The columns of an embed in the order of AnythingLLM's table."""
    known = read_embed_settings(embed.settings)
    domains = known.allowlist_domains
    return {
        "id": embed.id,
        "uuid": embed.uuid,
        "enabled": embed.enabled,
        "chat_mode": known.chat_mode,
        "allowlist_domains": None if domains is None else ascii_json(domains),
        "allow_model_override": known.allow_model_override,
        "allow_temperature_override": known.allow_temperature_override,
        "allow_prompt_override": known.allow_prompt_override,
        "max_chats_per_day": known.max_chats_per_day,
        "max_chats_per_session": known.max_chats_per_session,
        "message_limit": known.message_limit,
        "workspace_id": embed.workspace,
        "createdBy": None,
        "usersId": None,
        "createdAt": moment(embed.created_ms),
    }
