"""Owns the pairs of dialects that the tests of the matrix run over, and how one of them asks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

import pytest

from tests.dialects.recorded import dialects
from tests.gateway import Gateway
from tests.matrix.answer import Answer
from tests.matrix.clients import CLIENTS
from tests.matrix.upstreams import SHAPES
from tests.raw_http import RawConnection, Response, fetch, request_bytes
from tests.script import End, Gate, Head, Reach, Script, Send, Step, WaitFor
from tests.upstream import Upstream

NAMES: Final = tuple(dialect.name for dialect in dialects() if dialect.name in SHAPES)
Test = TypeVar("Test", bound=Callable[..., None])

in_both_forms = pytest.mark.parametrize("streamed", [True, False], ids=["stream", "whole"])


def pairs(
    topic: str, *, spoken: Iterable[str] = NAMES, served: Iterable[str] = NAMES
) -> Callable[[Test], Test]:
    """Runs a test for every client that speaks one dialect over every upstream that is served in another.

    What it shows is a word of the table in docs/translation.md, which is held to these marks."""
    each = [pytest.param(one, other, id=f"{one}-over-{other}") for one in spoken for other in served]

    def decorate(test: Test) -> Test:
        marked: Test = pytest.mark.parametrize(("spoken", "served"), each)(test)
        return pytest.mark.shows(topic)(marked)  # type: ignore[no-any-return]

    return decorate


def without(*names: str) -> tuple[str, ...]:
    """All dialects but these."""
    return tuple(name for name in NAMES if name not in names)


def ask(
    gateway: Gateway, spoken: str, model: str, *, stream: bool, scenario: str = "", count: int = 1
) -> Response:
    """One request for a model, which has the name of its upstream's dialect unless a test says otherwise."""
    client = CLIENTS[spoken]
    body = client.body(model, scenario, stream=stream)
    if count > 1:
        body = client.asking_for(count, body)
    return fetch(gateway.address, "POST", client.path(model, stream=stream), body)


def read(spoken: str, response: Response, *, stream: bool) -> Answer:
    """The answer in a response, read strictly."""
    if stream:
        return CLIENTS[spoken].stream(response)
    assert response.status == 200, response.body
    return CLIENTS[spoken].whole(response.json)


def answer(
    gateway: Gateway, upstream: Upstream, spoken: str, served: str, script: Script, *, stream: bool = True
) -> Answer:
    """What a client reads when the upstream of the dialect plays the script."""
    upstream.play(script)
    return read(spoken, ask(gateway, spoken, served, stream=stream, scenario="tools"), stream=stream)


def sent(frames: Iterable[bytes], *last: Step) -> list[Step]:
    """A script of frames in writes of their own, which ends well unless ``last`` says otherwise."""
    return [Head(), *(Send(each) for each in frames), *(last or (End(),))]


class Silence:
    """A place in a script at which the upstream says nothing until a client has seen keep-alives."""

    def __init__(self) -> None:
        self._reached, self._over = Gate(), Gate()

    @property
    def steps(self) -> Sequence[Step]:
        return (Reach(self._reached), WaitFor(self._over))

    def outlast(self, spoken: str, connection: RawConnection, body: bytes, beats: int = 2) -> bytes:
        """What the client has read of the body when so many keep-alives more have come."""
        self._reached.wait()
        client = CLIENTS[spoken]
        wanted = client.beats(body) + beats
        while client.beats(body) < wanted:
            piece = connection.read_chunk()
            assert piece, "the answer ended in the silence"
            body += piece
        self._over.open()
        return body


def patient_answer(gateway: Gateway, spoken: str, model: str, silences: Sequence[Silence]) -> Answer:
    """What a client reads over the silences of its upstream."""
    client = CLIENTS[spoken]
    path, body = client.path(model, stream=True), client.body(model, "tools", stream=True)
    with RawConnection(gateway.address) as connection:
        connection.send(request_bytes("POST", path, body))
        head, seen = connection.read_head(), b""
        for silence in silences:
            seen = silence.outlast(spoken, connection, seen)
        seen += b"".join(connection.chunks())
    return client.stream(Response(head, seen))
