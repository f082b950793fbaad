"""What a request for a response goes on from, and what is kept of the answer."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import Raw

from tidegate.core.event import End
from tidegate.core.request import Header, Request
from tidegate.errors import InvalidRequest
from tidegate.server.responses.conversation import continued, item_in, items_of
from tidegate.store.responses import ResponseStore, StoredResponse
from tidegate.wire.ascii_json import ascii_json

DIALECT = "openai-responses"

_REFERENCE: Final = b'"item_reference"'
_OUR_ITEM: Final = re.compile(r"[a-z]+_([0-9a-f]{32})")
"""Ids of items that we made begin with their response's."""

_STOPPED: Final = 499
"""The status of an end that a caller asked for; a gateway that stops has another."""

Keep = Callable[[Header, dict[str, Any], End], None]
"""Is told the finished response of a stream, and how it ended."""


class Keeping:
    """Looks up what came before, and keeps what comes."""

    def __init__(self, store: ResponseStore) -> None:
        self._store = store

    @staticmethod
    def must_look_up(request: Request) -> bool:
        """Whether a request goes on from something that is kept."""
        asked = request.fields.get("previous_response_id")
        return (asked is not None and bytes(asked) != b"null") or _REFERENCE in bytes(
            request.fields.get("input") or b""
        )

    async def expanded(self, caller: str, request: Request) -> Request:
        """The request with all that it goes on from in its input.

        Raises InvalidRequest when it goes on from what is not there, and StoreError.
        """
        fields = dict(request.fields)
        if _REFERENCE in bytes(fields.get("input") or b""):
            fields["input"] = await self._resolved(caller, fields["input"])
        asked = fields.pop("previous_response_id", None)
        if name := msgspec.json.decode(asked) if asked is not None else None:
            before = await self._store.get(caller, name)
            if before is None:
                raise InvalidRequest(
                    f"Previous response with id '{name}' not found.",
                    param="previous_response_id",
                    code="previous_response_not_found",
                )
            fields["input"] = continued(before, fields.get("input"))
        return msgspec.structs.replace(request, fields=fields)

    def keeper(self, caller: str, request: Request) -> Keep | None:
        """Who keeps the answer to a request, if it is to be kept."""
        if not wants_keeping(request.fields.get("store")):
            return None
        sent = request.fields.get("input")

        def keep(header: Header, response: dict[str, Any], end: End) -> None:
            if end.outcome == "cancelled":
                response = as_cancelled(response)
            stored = StoredResponse(
                f"resp_{header.id}",
                ascii_json(response).encode("ascii"),
                b"[]" if sent is None else bytes(sent),
            )
            self._store.put(caller, stored)

        return keep

    async def _resolved(self, caller: str, sent: Raw) -> Raw:
        """The input with the items that it refers to. One that is not kept here an upstream may know."""
        items = [
            await self._referred(caller, item) if item.get("type") == "item_reference" else item
            for item in items_of(sent)
        ]
        return Raw(ascii_json(items).encode("ascii"))

    async def _referred(self, caller: str, reference: dict[str, Any]) -> dict[str, Any]:
        name = str(reference.get("id"))
        ours = _OUR_ITEM.match(name)
        stored = await self._store.get(caller, f"resp_{ours[1]}") if ours else None
        if stored is None:
            stored = await self._store.holding(caller, ascii_json(name).encode("ascii"))
        return reference if stored is None else item_in(stored, name) or reference


def wants_keeping(store: Raw | None) -> bool:
    """Whether a request's ``store`` says so; it does when it is not there."""
    return store is None or bytes(store).strip() != b"false"


def cancelled(rendering: object, last: End) -> bytes | None:
    """The response object of a whole answer that somebody stopped; None for any other end and rendering."""
    response = getattr(rendering, "response", None)
    if response is None or last.error is None or last.error.status != _STOPPED:
        return None
    return ascii_json(as_cancelled(response)).encode("ascii")


def as_cancelled(response: dict[str, Any]) -> dict[str, Any]:
    """A response that was stopped, which is no failure."""
    return {**response, "status": "cancelled", "error": None}
