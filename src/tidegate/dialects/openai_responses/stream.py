"""The answer as a stream of server-sent events; what each of them says is decided in ``render.py``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from tidegate.core.event import AnyEvent, Text, Thinking
from tidegate.core.request import Header
from tidegate.core.run import Run
from tidegate.core.steady import COUNT, Frames, Marks, cut
from tidegate.dialects.openai_responses.pieces import Call
from tidegate.dialects.openai_responses.render import Hot, Rendering
from tidegate.wire.ascii_json import ascii_json, quote


class ResponsesStreamRenderer(Rendering):
    """Renders one stream as server-sent events. ``response`` is the response object, once it has ended."""

    content_type = b"text/event-stream; charset=utf-8"

    def __init__(self, header: Header) -> None:
        super().__init__(header, telling=True)

    def render(self, events: Sequence[AnyEvent]) -> bytes:
        """See :class:`tidegate.dialects.api.Renderer`."""
        hot = self._hot
        if len(events) == 1 and hot is not None:
            event = events[0]
            if (  # nearly every call is for one text like the one before: the shortest way for it
                type(event) is hot.kind is Text
                and (event.extra is hot.extra or hot.takes(event.extra))
                and event.block == hot.block
                and event.choice == 0
                and event.logprobs is None
                and (text := event.text)
            ):
                hot.parts.append(text)
                number = self._number
                self._number = number + 1
                return f"{hot.before}{quote(text)}{hot.after}{number}}}\n\n".encode("ascii")
        for event in events:
            known = self._known_text(event)
            if known is None:
                self._take(event)
            else:
                hot = cast(Hot, self._hot)
                self._frames.append(f"{hot.before}{quote(known)}{hot.after}{self._number}}}\n\n")
                self._number += 1
        body = "".join(self._frames)
        self._frames.clear()
        return body.encode("ascii")

    def template(self, sample: Text | Thinking, marks: Marks) -> Frames | None:
        """See :class:`tidegate.dialects.api.Templated`."""
        hot = self._hot
        if hot is None or not self._lifecycle.continues(sample):
            return None
        if sample.extra is not hot.extra and not hot.takes(sample.extra):
            return None
        template = cut(f"{hot.before}{quote(sample.text)}{hot.after}".encode("ascii"), marks)
        if template is None:
            return None
        return Frames((*template, COUNT, b"}\n\n"), self._number, wants_text=True)

    def passed(self, events: int, text: str) -> None:
        """See :class:`tidegate.dialects.api.Templated`."""
        assert self._hot is not None
        self._hot.parts.append(text)
        self._number += events

    def _skip_event(self, event: AnyEvent) -> int:
        before, self._telling = self._number, False
        self._take(event)
        self._telling = True
        return self._number - before

    def _skip_more(self, rest: Run) -> int:
        if self._known_text(rest.event) is None:
            return self._skip_unshown(rest)
        self._number += rest.count
        return rest.count

    def _skip_unshown(self, rest: Run) -> int:
        event, item = rest.event, self._item
        if event.choice != 0:
            return 0
        if isinstance(item, Call) and item.held and self._lifecycle.continues(event):
            return self._skip_event(event)
        return super()._skip_unshown(rest)

    def keep_alive(self) -> bytes:
        """See :class:`tidegate.dialects.api.Renderer`.

        Codex counts events and no comments. OpenAI's own is ``keepalive``, which the SDK for Node knows: it
        throws at other unknown kinds, and a second ``response.in_progress`` makes it forget all items. The
        number is that of the last frame, for it is none of the stream's own.
        """
        if not self._started or self.response is not None:
            return b""
        told = {"type": "keepalive", "sequence_number": max(self._number - 1, 0)}
        return f"event: keepalive\ndata: {ascii_json(told)}\n\n".encode("ascii")
