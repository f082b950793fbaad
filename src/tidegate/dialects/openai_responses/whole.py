"""The fold of a stream as one response object."""

from __future__ import annotations

from collections.abc import Sequence

from tidegate.core.event import AnyEvent
from tidegate.core.request import Header
from tidegate.dialects.openai_responses.render import Rendering
from tidegate.wire.ascii_json import ascii_json


class ResponsesWholeRenderer(Rendering):
    """Renders nothing until the stream has completed, then the response object."""

    content_type = b"application/json"

    def __init__(self, header: Header) -> None:
        super().__init__(header, telling=False)

    def render(self, events: Sequence[AnyEvent]) -> bytes:
        """See :class:`tidegate.dialects.api.Renderer`."""
        for event in events:
            if self._known_text(event) is None:
                self._take(event)
        if self.response is None or self.response["error"] is not None:
            return b""
        return ascii_json(self.response).encode("ascii")

    def keep_alive(self) -> bytes:
        """See :class:`tidegate.dialects.api.Renderer`."""
        return b""
