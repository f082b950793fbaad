"""What a request for a response goes on from, and what is kept of the answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw

from tidegate.core.event import End
from tidegate.core.request import Header, Request
from tidegate.errors import InvalidRequest
from tidegate.server.responses.conversation import continued
from tidegate.store.responses import ResponseStore, StoredResponse
from tidegate.wire.ascii_json import ascii_json

DIALECT = "openai-responses"

Keep = Callable[[Header, dict[str, Any], End], None]
"""Is told the finished response of a stream, and how it ended."""


class Keeping:
    """Looks up what came before, and keeps what comes."""

    def __init__(self, store: ResponseStore) -> None:
        self._store = store

    def prepare(self, caller: str, request: Request) -> tuple[Request, Keep | None]:
        """The request with what it goes on from in its input, and who keeps its answer if it is to be kept.

        Raises InvalidRequest when it goes on from what is not there.
        """
        if request.dialect != DIALECT:
            return request, None
        request = self._expanded(caller, request)
        if not wants_keeping(request.fields.get("store")):
            return request, None
        sent = request.fields.get("input")

        def keep(header: Header, response: dict[str, Any], end: End) -> None:
            if end.outcome == "cancelled":
                response = {**response, "status": "cancelled", "error": None}
            stored = StoredResponse(
                f"resp_{header.id}",
                ascii_json(response).encode("ascii"),
                b"[]" if sent is None else bytes(sent),
            )
            self._store.put(caller, stored)

        return request, keep

    def _expanded(self, caller: str, request: Request) -> Request:
        asked = request.fields.get("previous_response_id")
        name = msgspec.json.decode(asked) if asked is not None else None
        if not name:
            return request
        before = self._store.get(caller, name)
        if before is None:
            raise InvalidRequest(
                f"Previous response with id '{name}' not found.",
                param="previous_response_id",
                code="previous_response_not_found",
            )
        fields = {key: raw for key, raw in request.fields.items() if key != "previous_response_id"}
        fields["input"] = continued(before, fields.get("input"))
        return msgspec.structs.replace(request, fields=fields)


def wants_keeping(store: Raw | None) -> bool:
    """Whether a request's ``store`` says so; it does when it is not there."""
    return store is None or bytes(store).strip() != b"false"
