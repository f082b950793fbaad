"""Workspaces whose passages have vectors: of llama.cpp, of embedders that fail, of one after another."""

from __future__ import annotations

import importlib.util
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.chat import error, plain
from tests.crash.killing import Home, at_home
from tests.gateway import Gateway, eventually, gateway_config
from tests.script import Gate, Script, WaitFor
from tests.tiny_gguf import TinyModel, shared_tiny_gguf
from tests.upstream import Request, Upstream
from tests.wire.test_ledger import rows_of
from tests.workspaces.asking import QUESTION, Desk, answers, embedded, rows, said, vectors, with_embedder
from tests.workspaces.test_ingestion import WITHOUT_PASSAGE, WITHOUT_VECTOR, count

pytestmark = pytest.mark.timeout(120)

LIGHTHOUSE = "The lighthouse burns green."
MEANT = "pharos pharos"
"""What only vectors find: the text has no such word."""


@pytest.fixture
def home(upstream: Upstream, tmp_path: Path) -> Iterator[Home]:
    upstream.answer = answers
    with at_home(tmp_path / "home", with_embedder(upstream.url)) as running:
        yield running


def embedder_of(gateway: Gateway) -> str | None:
    """The model whose vectors are searched in the one workspace that there is."""
    ((found,),) = rows(gateway, "SELECT embedder FROM workspaces")
    return None if found is None else str(found)


def found(desk: Desk, query: str) -> list[str]:
    return [each["text"] for each in desk.search(query, threshold=0.5)]


def but_embeddings(then: Callable[[Request], Script]) -> Callable[[Request], Script]:
    """The usual answers to all but what asks for vectors."""
    return lambda request: then(request) if request.path.endswith("/embeddings") else answers(request)


@pytest.mark.skipif(
    importlib.util.find_spec("xllamacpp") is None, reason="needs xllamacpp: pip install 'tidegate[local]'"
)
def test_llama_cpp_embeds_what_is_longer_than_it_takes_too(
    upstream: Upstream, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """One passage that does not fit keeps no other from being found by its vector."""
    upstream.answer = answers
    config = gateway_config(upstream.url, workspaces={"embedder": "embed"})
    file = str(shared_tiny_gguf(tmp_path_factory, TinyModel(context=512)))
    config["models"]["embed"] = {"gguf": file, "threads": 1, "slots": 1, "embedding": True}
    with at_home(tmp_path / "home", config) as home:
        desk = Desk(home.gateway)
        desk.add()
        desk.add(" ".join(f"Zq{number * 7919}xk" for number in range(400)), "Long words")
        assert embedder_of(home.gateway) == "embed"
        assert count(home.gateway, WITHOUT_VECTOR) == 0
        first = desk.search("The mooring fee is forty crowns a night, and children of sailors pay nothing.")[
            0
        ]
        assert "mooring fee" in first["text"]
        told = desk.ask()
        assert said(told) == "It opens at six."
        assert "Harbour guide" in [each["title"] for each in told[-1]["sources"]]


def test_vectors_find_what_words_do_not(home: Home, upstream: Upstream) -> None:
    """From when the document is in, on; and calls for vectors are in the ledger."""
    desk = Desk(home.gateway)
    desk.add()
    desk.add(LIGHTHOUSE, "Lights")
    assert embedder_of(home.gateway) == "embed"
    assert found(desk, MEANT) == [LIGHTHOUSE]
    (source,) = desk.ask(f"What burns at the {MEANT}?", topN=1)[-1]["sources"][:1]
    assert source["text"] == LIGHTHOUSE

    def counted() -> bool:
        calls = [row for row in rows_of(home.gateway).values() if row.dialect == "embeddings"]
        told = {(row.model, row.caller, row.outcome) for row in calls}
        return told == {("embed", "open", "completed")} and len(calls) == len(embedded(upstream.requests))

    eventually(counted, "each call has its row")


def test_an_embedder_that_fails_is_asked_again_later(home: Home, upstream: Upstream) -> None:
    """Meanwhile the document is in, whoever sent it is answered, and words find it."""
    upstream.answer = but_embeddings(lambda _: error(500, "out of memory"))
    desk = Desk(home.gateway)
    desk.add()
    assert [each["state"] for each in desk.documents()] == ["indexed"]
    assert embedder_of(home.gateway) is None
    assert "Harbour guide" in [each["title"] for each in desk.ask()[-1]["sources"]]
    assert "has no vectors yet" in home.gateway.output()
    upstream.answer = answers
    eventually(lambda: embedder_of(home.gateway) == "embed", "it is asked again", 20)
    assert count(home.gateway, WITHOUT_VECTOR) == 0


def test_an_embedder_that_fails_at_a_question_leaves_the_words(home: Home, upstream: Upstream) -> None:
    desk = Desk(home.gateway)
    desk.add()
    upstream.answer = but_embeddings(lambda _: error(500, "out of memory"))
    told = desk.ask()
    assert said(told) == "It opens at six."
    assert "Harbour guide" in [each["title"] for each in told[-1]["sources"]]


def test_another_embedder_serves_when_all_its_vectors_are_there(home: Home, upstream: Upstream) -> None:
    """The old vectors are searched until then; what comes meanwhile keeps nobody waiting."""
    desk = Desk(home.gateway)
    for number in range(40):
        desk.add(f"Berth {number} is free.", f"Berth {number}")
    desk.add(LIGHTHOUSE, "Lights")
    gate = Gate()
    upstream.requests.clear()
    upstream.answer = but_embeddings(
        lambda request: (
            [WaitFor(gate), *vectors(request, 400)]
            if request.json["model"] == "embed-2" and len(request.json["input"]) > 1
            else vectors(request, 400 if request.json["model"] == "embed-2" else 512)
        )
    )
    home.config["workspaces"] = {"embedder": "other"}
    home.gateway.write_config(home.config)
    home.gateway.signal(signal.SIGHUP)
    upstream.wait_until(
        lambda: any(each.json["model"] == "embed-2" for each in embedded(upstream.requests)), "it begins", 20
    )
    assert found(desk, MEANT) == [LIGHTHOUSE]
    desk.add("The ferry is late.", "Ferry")
    assert "The ferry is late." in found(desk, "ferry late")
    assert embedder_of(home.gateway) == "embed"
    gate.open()
    eventually(lambda: embedder_of(home.gateway) == "other", "all are embedded anew", 20)
    eventually(
        lambda: rows(home.gateway, "SELECT DISTINCT embedder FROM vectors") == [("other",)],
        "the old ones go",
        20,
    )
    assert (count(home.gateway, WITHOUT_VECTOR), count(home.gateway, WITHOUT_PASSAGE)) == (0, 0)
    assert found(desk, MEANT) == [LIGHTHOUSE]
    assert embedded(upstream.requests)[-1].json["model"] == "embed-2"


def test_vectors_of_another_length_break_no_search(home: Home, upstream: Upstream) -> None:
    """The model behind the name was replaced by another: words find, until somebody names it anew."""
    desk = Desk(home.gateway)
    desk.add()
    upstream.answer = but_embeddings(lambda request: vectors(request, 600))
    assert "Harbour guide" in [each["title"] for each in desk.ask()[-1]["sources"]]
    desk.add(LIGHTHOUSE, "Lights")
    assert found(desk, "lighthouse burns green") == [LIGHTHOUSE]
    assert "Harbour guide" in [each["title"] for each in desk.ask()[-1]["sources"]]


def test_a_reranker_puts_passages_in_order_where_a_workspace_wants_it(
    upstream: Upstream, tmp_path: Path
) -> None:
    """And where it fails, they stay in theirs."""
    texts = ["Ropes are sold at the quay.", "Ropes are made of hemp.", "Ropes rot in the rain."]

    def answer(request: Request) -> Script:
        if not request.path.endswith("/rerank"):
            return answers(request)
        scores = [float("hemp" in text) + len(text) / 100 for text in request.json["documents"]]
        order = [{"index": number, "relevance_score": score} for number, score in enumerate(scores)]
        return plain({"results": order, "usage": {"total_tokens": 5}})

    upstream.answer = answer
    config = gateway_config(upstream.url, workspaces={"reranker": "m"})
    with at_home(tmp_path / "home", config) as home:
        desk = Desk(home.gateway)
        for number, text in enumerate(texts):
            desk.add(text, f"Ropes {number}")

        def first() -> str:
            return str(desk.search("ropes", threshold=0)[0]["text"])

        before = first()
        assert not [each for each in upstream.requests if each.path.endswith("/rerank")]
        desk.post(f"/workspace/{desk.slug}/update", vectorSearchMode="rerank")
        assert first() == "Ropes are made of hemp."
        assert next(each["title"] for each in desk.ask("ropes")[-1]["sources"]) == "Ropes 1"
        upstream.answer = lambda request: (
            error(500, "no") if request.path.endswith("/rerank") else answers(request)
        )
        assert first() == before
        assert said(desk.ask(QUESTION, "chat")) == "It opens at six."
