"""Owns what the tests of questions share: gateways with agents that ask, and readers that answer."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.agents import asking_agents, filing_agents
from tests.crash.killing import Home, Reading
from tests.gateway import Config, Gateway, eventually
from tests.raw_http import Response, fetch


def with_agents(folder: Path) -> Path:
    """A data folder whose gateway has the agents that ask, and those that make files."""
    (folder / "agents").mkdir(parents=True)
    for module in (asking_agents, filing_agents):
        assert module.__file__ is not None
        shutil.copy(module.__file__, folder / "agents")
    return folder


@contextmanager
def asking_home(folder: Path, config: Config) -> Iterator[Home]:
    home = Home(with_agents(folder), config)
    try:
        yield home
    finally:
        home.gateway.kill()


def send(gateway: Gateway, stream: str, answer: Any, headers: Mapping[str, str] | None = None) -> Response:
    """What came of an answer."""
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    return fetch(gateway.address, "POST", f"/v1/streams/{stream}/input", body, headers or {})


def asked(gateway: Gateway, stream: str) -> list[dict[str, Any]]:
    """What a stream asks for now."""
    state = gateway.get(f"/v1/streams/{stream}", {"Accept": "application/json"})
    questions: list[dict[str, Any]] = state["input_required"]
    return questions


def question_of(gateway: Gateway, stream: str, words: str) -> dict[str, Any]:
    """The question, once it is asked."""
    eventually(lambda: any(each["question"] == words for each in asked(gateway, stream)), f"{words} is asked")
    return next(each for each in asked(gateway, stream) if each["question"] == words)


def reading(home: Home, model: str, words: str) -> Reading:
    """A reader of an agent that has asked this by now."""
    begun = Reading(home, "x", model, {})
    begun.has(words)
    return begun
