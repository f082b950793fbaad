"""What an upstream of another dialect said beside a text is not shown, so it may differ without any cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from tests.dialects.recorded import header_for
from tidegate.core.event import AnyEvent, End, Extra, Finish, Start, Text
from tidegate.core.lifecycle import Lifecycle, Step
from tidegate.dialects import load_dialect

DIALECTS = ("anthropic-messages", "openai-responses", "gemini")
WORDS = ("One", " two", " three", " four", " five")


def deltas(extras: Sequence[Extra | None]) -> list[AnyEvent]:
    return [Text(text=word, extra=extra) for word, extra in zip(WORDS, extras, strict=True)]


def padded() -> list[AnyEvent]:
    """Deltas of a Chat upstream that pads each chunk with another string."""
    return deltas([{"chunk": {"obfuscation": word * 2}} for word in WORDS])


@pytest.mark.parametrize("name", DIALECTS)
def test_padding_of_another_dialect_changes_no_byte(name: str) -> None:
    dialect = load_dialect(name)
    shown: list[list[bytes]] = []
    for events in (padded(), deltas([None] * 5), [*deltas([None] * 5)[:2], *padded()[2:]]):
        renderer = dialect.renderer(header_for(dialect, stream=True))
        said = [Start(model="m"), *events, Finish(reason="stop"), End(outcome="completed")]
        shown.append([renderer.render((event,)) for event in said])
    assert shown[0] == shown[1] == shown[2]


@pytest.mark.parametrize("name", DIALECTS)
def test_padding_of_another_dialect_leaves_deltas_on_the_short_way(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dialect = load_dialect(name)
    renderer = dialect.renderer(header_for(dialect, stream=True))
    events = padded()
    renderer.render((Start(model="m"), *events[:3]))

    def steps(self: Lifecycle, events: Sequence[AnyEvent]) -> Iterator[Step]:
        raise AssertionError("a delta like the one before is looked at anew")

    monkeypatch.setattr(Lifecycle, "steps", steps)
    for event in events[3:]:
        assert isinstance(event, Text)
        assert event.text.encode() in renderer.render((event,))


@pytest.mark.parametrize("name", DIALECTS)
def test_what_an_upstream_of_the_same_dialect_said_is_shown_with_its_delta(name: str) -> None:
    dialect = load_dialect(name)
    known = {"anthropic-messages": "event", "openai-responses": "event", "gemini": "chunk"}[name]
    renderer = dialect.renderer(header_for(dialect, stream=True))
    renderer.render((Start(model="m"), *padded()))
    own: Extra = {name: {known: {"x_new": 1}}}
    assert b'"x_new":1' in renderer.render((Text(text=" more", extra=own),))
    assert b'"x_new":1' in renderer.render((Text(text=" again", extra=own),))
    assert b"x_new" not in renderer.render((Text(text=" and then", extra={"chunk": {"obfuscation": "x"}}),))
