"""Owns the recorded answers in cases/: what an upstream sent, the events that it means, and the frames.

A case is a text file. Lines before the first section say what it shows and where its shape is documented. A
section begins with `--- name`: `asked` holds settings of the client's header, `stream` or `body` what the
upstream sent, `events` one event a line, `error` what is raised after them, `rendered` what clients get."""

from __future__ import annotations

import json
import pkgutil
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

import tidegate.dialects
from tidegate.core.event import AnyEvent
from tidegate.core.request import Header
from tidegate.dialects import Dialect, load_dialect
from tidegate.dialects.api import DIALECTS

CASES = Path(__file__).parent / "cases"
ID = "0123456789abcdef0123456789abcdef"

_read_event = msgspec.json.Decoder(AnyEvent).decode


@dataclass(frozen=True, slots=True)
class Case:
    """One recorded answer; ``error`` holds the fields of the exception, empty when none is raised."""

    name: str
    dialect: Dialect
    header: Header
    streamed: bool
    sent: bytes
    events: list[AnyEvent]
    rendered: bytes
    error: dict[str, Any] = field(default_factory=dict)


def header_for(dialect: Dialect, **asked: Any) -> Header:
    """A stream's header whose every field is known."""
    return Header(id=ID, caller="caller", dialect=dialect.name, model="asked", created=1_700_000_000, **asked)


def dialects() -> list[Dialect]:
    """Every dialect that is spoken to upstreams."""
    names = (each.name.replace("_", "-") for each in pkgutil.iter_modules(tidegate.dialects.__path__))
    return [load_dialect(name) for name in names if name in DIALECTS - {"events", "anythingllm"}]


def cases(dialect: Dialect) -> list[Case]:
    """The recorded answers of a dialect, in the order of their names."""
    folder = CASES / dialect.name.replace("-", "_")
    return [_read(path, dialect) for path in sorted(folder.glob("*.txt"))]


def _read(path: Path, dialect: Dialect) -> Case:
    parts = re.split(r"^--- (\w+)\n", path.read_text("utf-8"), flags=re.MULTILINE)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    streamed = "stream" in sections
    sent = sections["stream"] + "\n" if streamed else sections["body"]
    return Case(
        name=path.stem,
        dialect=dialect,
        header=header_for(dialect, **json.loads(sections.get("asked", "{}"))),
        streamed=streamed,
        sent=sent.encode(),
        events=[_read_event(line) for line in sections.get("events", "").splitlines()],
        rendered=(sections["rendered"] + "\n").encode() if "rendered" in sections else b"",
        error=json.loads(sections.get("error", "{}")),
    )
