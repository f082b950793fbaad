"""From a Responses upstream to a Responses client: events arrive as they were, but for what is documented."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.dialects.recorded import Case, cases
from tests.responses import events_of
from tidegate.dialects import load_dialect

RESPONSES = load_dialect("openai-responses")
WHOLE = [case for case in cases(RESPONSES) if case.name.startswith("openai") and not case.error]

OURS = {"id", "created_at", "store", "sequence_number", "obfuscation", "completed_at"}


def sent(case: Case) -> list[Any]:
    blocks = case.sent.decode().split("\n\n")
    events = [json.loads(block.split("data: ", 1)[1]) for block in blocks if "data: " in block]
    return [event for event in events if event["type"] != "keepalive"]


def missing(upstream: Any, client: Any, where: str) -> list[str]:
    """What the upstream said and the client was not told."""
    if isinstance(upstream, dict) and isinstance(client, dict):
        return [
            problem
            for name, value in upstream.items()
            for problem in (
                missing(value, client[name], f"{where}.{name}") if name in client else [f"{where}.{name}"]
            )
        ]
    if isinstance(upstream, list) and isinstance(client, list) and len(upstream) == len(client):
        pairs = enumerate(zip(upstream, client, strict=True))
        return [problem for at, (one, other) in pairs for problem in missing(one, other, f"{where}[{at}]")]
    return [] if upstream == client else [f"{where}: {upstream!r} != {client!r}"]


@pytest.mark.parametrize("case", WHOLE, ids=lambda case: case.name)
def test_every_event_of_the_upstream_arrives(case: Case) -> None:
    if not case.streamed:
        pytest.skip("no stream")
    before, after = sent(case), events_of(case.rendered)
    assert [event["type"] for event in after] == [event["type"] for event in before]
    for said, told in zip(before, after, strict=True):
        event = {name: value for name, value in said.items() if name not in OURS}
        if "response" in event:
            response = {name: value for name, value in event["response"].items() if name not in OURS}
            event["response"] = response
        if event["type"] == "response.output_item.added":
            event["item"].pop("encrypted_content", None)  # told once, when the item is done
        assert missing(event, told, event["type"]) == []
