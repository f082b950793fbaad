"""Documents find their way into workspaces whatever becomes of the process, the documents, or each other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.crash.killing import Home, at_home
from tests.gateway import Gateway, eventually
from tests.script import Script, Stall
from tests.upstream import Request, Upstream
from tests.workspaces.asking import Desk, answers, embedded, rows, with_embedder

pytestmark = pytest.mark.timeout(180)

MANY = 40
LONG = "\n\n".join(
    f"## Part {part}\n\n"
    + " ".join(f"Berth {part} has the number {part * 7} and rope {word}." for word in range(24))
    for part in range(900)
)
UNSEEN = "SELECT count(*) FROM passages WHERE workspace < 0"
TWICE = "SELECT workspace, document, number FROM passages GROUP BY 1, 2, 3 HAVING count(*) > 1"
WITHOUT_VECTOR = "SELECT count(*) FROM passages WHERE id NOT IN (SELECT passage FROM vectors)"
WITHOUT_PASSAGE = "SELECT count(*) FROM vectors WHERE passage NOT IN (SELECT id FROM passages)"


@pytest.fixture
def home(upstream: Upstream, tmp_path: Path) -> Iterator[Home]:
    upstream.answer = answers
    with at_home(tmp_path / "home", with_embedder(upstream.url)) as running:
        yield running


@contextmanager
def beside(work: Callable[[], Any]) -> Iterator[None]:
    """Ask for something that takes long, which may fail because the gateway is killed meanwhile."""

    def attempt() -> None:
        try:
            work()
        except (OSError, EOFError):
            return

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    yield
    thread.join(60)
    assert not thread.is_alive()


def count(gateway: Gateway, query: str, *values: Any) -> int:
    ((found,),) = rows(gateway, query, *values)
    return int(found)


def assert_whole(desk: Desk, documents: int) -> None:
    """Every document is there once, with all its passages and their vectors."""
    eventually(
        lambda: [each["state"] for each in desk.documents()] == ["indexed"] * documents, "all are indexed", 60
    )
    gateway = desk.gateway
    eventually(lambda: count(gateway, WITHOUT_VECTOR) == 0, "all have vectors", 60)
    for each in desk.documents():
        held = "SELECT count(*), max(number) + 1 FROM passages WHERE document = ?"
        assert rows(gateway, held, each["docId"]) == [(each["passages"], each["passages"])]
    assert rows(gateway, TWICE) == []
    assert (count(gateway, UNSEEN), count(gateway, WITHOUT_PASSAGE)) == (0, 0)


def test_documents_are_all_there_after_a_kill(home: Home) -> None:
    """Killed where one of them is half in, before some and behind others."""
    desk = Desk(home.gateway)
    some = [desk.add(f"Ship {number} carries salt.", f"Ship {number}", place=False) for number in range(MANY)]
    long = desk.add(LONG, "Berths", place=False)
    with beside(lambda: desk.embed(*some[: MANY // 2], long, *some[MANY // 2 :])):
        eventually(lambda: count(home.gateway, UNSEEN) >= 256, "the long one is half in", 60)
        home.kill()
    states = rows(home.gateway, "SELECT state FROM placements ORDER BY id")
    assert states[0] == ("indexed",)
    assert ("waiting",) in states
    home.start()
    desk.gateway = home.gateway
    assert_whole(desk, MANY + 1)
    assert "Berth 899" in desk.search("rope berth 899")[0]["text"]


def test_vectors_are_complete_after_a_kill(home: Home, upstream: Upstream) -> None:
    """Those that were there are not made again."""
    asked: list[Request] = []

    def stalls(request: Request) -> Script:
        if request.path.endswith("/embeddings"):
            asked.append(request)
            if len(asked) > 3:
                return [Stall()]
        return answers(request)

    upstream.answer = stalls
    desk = Desk(home.gateway)
    with beside(lambda: desk.add(LONG, "Berths")):
        upstream.wait_until(lambda: len(asked) > 3, "the embedder stalls", 60)
        home.kill()
    had = {text for request in asked[:3] for text in request.json["input"]}
    upstream.requests.clear()
    upstream.answer = answers
    home.start()
    desk.gateway = home.gateway
    assert_whole(desk, 1)
    again = {text for request in embedded(upstream.requests) for text in request.json["input"]}
    assert had
    assert not had & again


def test_a_changed_file_takes_the_place_of_what_it_was(home: Home) -> None:
    desk = Desk(home.gateway)
    before = desk.upload("ships.txt", "The Varuna carries cinnamon to Ostend.")
    (first,) = desk.documents()
    after = desk.upload("ships.txt", "The Varuna carries cardamom to Bruges.")
    (second,) = desk.documents()
    assert (after, second["docId"]) == (before, first["docId"])
    assert_whole(desk, 1)
    assert [each["text"] for each in desk.search("What does the Varuna carry?")] == [
        "The Varuna carries cardamom to Bruges."
    ]
    assert desk.search("cinnamon Ostend", threshold=0.5) == []


def test_a_file_that_is_changed_while_it_is_put_in(home: Home) -> None:
    """What it was at last is what is found."""
    desk = Desk(home.gateway)
    with beside(lambda: desk.upload("berths.md", LONG)):
        eventually(lambda: count(home.gateway, UNSEEN) >= 256, "it is half in", 60)
        desk.upload("berths.md", "There are no berths any more.")
    assert_whole(desk, 1)
    assert [each["text"] for each in desk.search("berths")] == ["There are no berths any more."]


@pytest.mark.parametrize("how", ["everywhere", "here", "workspace"])
def test_what_is_removed_while_it_is_put_in_leaves_nothing(home: Home, how: str) -> None:
    desk, other = Desk(home.gateway), Desk(home.gateway, "Other")
    other.add()
    location = desk.add(LONG, "Berths", place=False)
    with beside(lambda: desk.embed(location)):
        eventually(lambda: count(home.gateway, UNSEEN) >= 256, "it is half in", 60)
        if how == "everywhere":
            desk.send("DELETE", "/system/remove-documents", {"names": [location]})
        elif how == "here":
            desk.embed(deletes=(location,))
        else:
            assert desk.send("DELETE", f"/workspace/{desk.slug}").status == 200
    other.add("One more.", "More")
    mine = "SELECT count(*) FROM passages WHERE text LIKE '%Berth%'"
    eventually(lambda: count(home.gateway, mine) == 0, "nothing is left of it", 20)
    if how != "workspace":
        assert desk.documents() == []
    assert_whole(other, 2)


def test_what_a_kill_left_behind_a_removal_is_cleared_away(home: Home) -> None:
    """As if killed between its two halves: the document is out of its workspace, its passages are not."""
    desk, gone = Desk(home.gateway), Desk(home.gateway, "Gone")
    desk.add()
    desk.add("The lighthouse is green.", "Lighthouse")
    gone.add("The ferry is late.", "Ferry")
    home.kill()
    (number,) = [
        each[0] for each in rows(home.gateway, "SELECT id FROM workspaces WHERE slug = ?", gone.slug)
    ]
    lighthouse = "(SELECT id FROM documents WHERE file_name LIKE '%Lighthouse%')"
    rows(home.gateway, f"DELETE FROM placements WHERE document IN {lighthouse}")
    rows(home.gateway, "DELETE FROM placements WHERE workspace = ?", number)
    rows(home.gateway, "DELETE FROM workspaces WHERE id = ?", number)
    home.start()
    desk.gateway = home.gateway
    left = "SELECT count(*) FROM passages WHERE text LIKE '%lighthouse%' OR text LIKE '%ferry%'"
    eventually(lambda: count(home.gateway, left) == 0, "they are cleared away", 20)
    assert desk.search("the lighthouse is green", threshold=0.5) == []
    assert_whole(desk, 1)


def test_a_document_that_cannot_be_put_in_is_told_and_keeps_nobody_waiting(home: Home) -> None:
    """Its text cannot be read any more, because of the disk, say; what is sent anew is put in."""
    desk = Desk(home.gateway)
    broken = desk.upload("fees.txt", "A night costs forty crowns.", slug="")
    rows(home.gateway, "UPDATE documents SET pages = x'00'")
    (told,) = desk.embed(broken)["workspace"]["documents"]
    assert told["state"] == "failed"
    assert "cannot be cut into passages" in told["error"]
    desk.add()
    assert [each["state"] for each in desk.documents()] == ["failed", "indexed"]
    assert desk.search("harbour")
    desk.upload("fees.txt", "A night costs fifty crowns.")
    assert_whole(desk, 2)
    assert [each["error"] for each in desk.documents()] == [None, None]


def test_documents_do_not_wait_for_an_embedder_that_hangs(home: Home, upstream: Upstream) -> None:
    """They are found by their words meanwhile."""
    upstream.answer = lambda request: [Stall()] if request.path.endswith("/embeddings") else answers(request)
    desk = Desk(home.gateway)
    with beside(desk.add):
        upstream.wait_until(lambda: bool(embedded(upstream.requests)), "the embedder hangs", 20)
        more = desk.add("The lighthouse is green.", "Lighthouse", place=False)
        with beside(lambda: desk.embed(more)):
            eventually(
                lambda: [each["state"] for each in desk.documents()] == ["indexed"] * 2, "both are in", 20
            )
            assert desk.search("Which lighthouse is green?")[0]["text"] == "The lighthouse is green."
            home.kill()
