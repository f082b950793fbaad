"""Files are kept for whoever sent them, under names that no client chooses."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from openai import APIStatusError, BadRequestError, NotFoundError, OpenAI

from tests.gateway import Gateway, gateway_config
from tests.raw_http import fetch
from tidegate.errors import BodyTooLarge
from tidegate.store.files import FileStore

DATA = os.urandom(100_000) + b"\r\n--boundary\r\n"
KEYS = tuple(f"sk-{number}" for number in range(40))


class Small(NamedTuple):
    """A gateway with a small limit, and keys of callers that it has not seen yet."""

    gateway: Gateway
    keys: Iterator[str]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Small]:
    config = gateway_config("http://127.0.0.1:1", auth={"list": list(KEYS)}, server={"max_body": "200KiB"})
    gateway = Gateway(tmp_path_factory.mktemp("small"), config)
    yield Small(gateway, iter(KEYS))
    gateway.stop()


@pytest.fixture
def two(small: Small) -> Iterator[tuple[Gateway, OpenAI, OpenAI]]:
    """The gateway with a small limit, and two callers that it has not seen yet."""
    gateway, keys = small
    first, second = (OpenAI(base_url=gateway.base_url, api_key=next(keys), max_retries=0) for _ in range(2))
    yield gateway, first, second
    first.close()
    second.close()


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_file_lives_and_dies(client: OpenAI) -> None:
    made = client.files.create(file=("notes 世界.txt", DATA), purpose="user_data")
    assert (made.filename, made.bytes, made.purpose, made.object) == (
        "notes 世界.txt",
        len(DATA),
        "user_data",
        "file",
    )
    assert client.files.retrieve(made.id) == made
    assert client.files.content(made.id).read() == DATA
    assert made in list(client.files.list())
    told = client.files.delete(made.id)
    assert (told.id, told.deleted) == (made.id, True)
    for ask in (client.files.retrieve, client.files.content, client.files.delete):
        with pytest.raises(NotFoundError, match="No such File object"):
            ask(made.id)
    assert made not in list(client.files.list())


def test_content_is_never_run_by_a_browser(gateway: Gateway, client: OpenAI) -> None:
    made = client.files.create(file=("a.html", b"<script>"), purpose="assistants")
    head = fetch(gateway.address, "GET", f"/v1/files/{made.id}/content").head
    assert head.get("content-type") == "application/octet-stream"
    assert head.get("x-content-type-options") == "nosniff"
    assert head.get("content-disposition") == "attachment; filename=\"a.html\"; filename*=UTF-8''a.html"


def test_list_comes_in_pages(two: tuple[Gateway, OpenAI, OpenAI]) -> None:
    _, client, _ = two
    made = [client.files.create(file=(f"{n}.txt", b"x"), purpose="assistants") for n in range(5)]
    client.files.create(file=("b.txt", b"x"), purpose="batch")
    assert [each.id for each in client.files.list(purpose="assistants", limit=2)] == [
        each.id for each in reversed(made)
    ]
    page = client.files.list(order="asc", limit=2)
    assert page.has_more
    assert [each.id for each in page.data] == [made[0].id, made[1].id]
    with pytest.raises(BadRequestError):
        client.files.list(limit=0)


def test_callers_see_only_their_own(two: tuple[Gateway, OpenAI, OpenAI]) -> None:
    _, first, second = two
    made = first.files.create(file=("a.txt", b"x"), purpose="assistants")
    assert list(second.files.list()) == []
    for ask in (second.files.retrieve, second.files.content, second.files.delete):
        with pytest.raises(NotFoundError):
            ask(made.id)
    assert first.files.retrieve(made.id).id == made.id


@pytest.mark.parametrize("name", ["../../evil", "/etc/evil", "..\\evil", "a\x00b", "x" * 5000, ""])
def test_client_names_are_no_paths(two: tuple[Gateway, OpenAI, OpenAI], name: str) -> None:
    gateway, client, _ = two
    before = set(files_below(gateway.folder))
    try:
        made = client.files.create(file=(name, b"x"), purpose="assistants")
    except APIStatusError as error:
        assert error.status_code == 400  # noqa: PT017 - either way is fine, if nothing is written elsewhere
        return
    new = set(files_below(gateway.folder)) - before
    assert len(new) == 2
    assert all(path.startswith("files/key-") and made.id in path for path in new)


@pytest.mark.parametrize("name", ["../x", "%2e%2e%2fx", "file-", "file-..", "file-" + "0" * 24])
def test_odd_ids_are_not_found(gateway: Gateway, name: str) -> None:
    for path in (f"/v1/files/{name}", f"/v1/files/{name}/content"):
        assert fetch(gateway.address, "GET", path).status == 404


def test_large_file_is_refused(two: tuple[Gateway, OpenAI, OpenAI]) -> None:
    _, client, _ = two
    with pytest.raises(APIStatusError) as raised:
        client.files.create(file=("a.bin", os.urandom(300_000)), purpose="assistants")
    assert raised.value.status_code == 413


def test_full_store_says_so(tmp_path: Path) -> None:
    store = FileStore(tmp_path, lambda: os.urandom(16).hex(), most=2, most_bytes=100)
    store.put("a", "one", "p", b"x" * 60, 1)
    with pytest.raises(BodyTooLarge, match="delete some"):
        store.put("a", "two", "p", b"x" * 60, 1)
    store.put("b", "two", "p", b"x" * 60, 1)
    store.put("a", "two", "p", b"x", 1)
    with pytest.raises(BodyTooLarge):
        store.put("a", "three", "p", b"x", 1)


def test_files_outlive_the_process(tmp_path: Path) -> None:
    first = FileStore(tmp_path, lambda: os.urandom(16).hex())
    made = first.put("a", "one", "p", DATA, 1)
    second = FileStore(tmp_path, lambda: os.urandom(16).hex())
    assert second.list("a") == [made]
    assert second.read("a", made.id) == DATA
    assert (tmp_path / "a").stat().st_mode & 0o77 == 0


@pytest.mark.parametrize("body", [b"{}", b""])
def test_upload_that_is_no_form_is_refused(gateway: Gateway, body: bytes) -> None:
    response = fetch(gateway.address, "POST", "/v1/files", body)
    assert (response.status, response.json["error"]["type"]) == (400, "invalid_request_error")
