"""Feeds a decoder as :mod:`tidegate.sources.upstream` does: the short way first."""

from __future__ import annotations

from tidegate.core.event import AnyEvent
from tidegate.dialects import Decoder


def feed(decoder: Decoder, data: bytes, events: list[AnyEvent]) -> None:
    """Append the events that one read brings."""
    known = decoder.known
    event = known(data) if known is not None else None
    if event is not None:
        events.append(event)
    else:
        decoder.feed(data, events)
