"""`tidegate workspace`: made, filled, asked, searched and exported, against a running gateway."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner

from tests.chat import text_stream
from tests.cli.conftest import OpenTerminal, RunCommand
from tests.gateway import Gateway, clean_environment, gateway_config
from tests.raw_http import fetch
from tests.upstream import Upstream
from tests.workspaces.parsing.documents import pdf
from tidegate.cli import main

Environment = dict[str, str]

KEYS = tuple(f"sk-terminal-{number}" for number in range(100))
HARBOUR = ["The harbour master signs each manifest.", "The lamp is turned by a clockwork of brass."]
SUBCOMMANDS = ("list", "create", "delete", "add", "documents", "remove", "ask", "search", "export")


@pytest.fixture(scope="module")
def _keyed(
    _shared_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Gateway, Iterator[str]]]:
    config = gateway_config(
        _shared_upstream.url, auth={"list": list(KEYS)}, server={"max_body": "1MiB", "header_hold": "3s"}
    )
    gateway = Gateway(tmp_path_factory.mktemp("workspaces"), config)
    yield gateway, iter(KEYS)
    gateway.stop()


@pytest.fixture
def at(_keyed: tuple[Gateway, Iterator[str]], upstream: Upstream) -> Environment:
    """The environment of a caller whom the gateway has not seen yet."""
    gateway, keys = _keyed
    return {"TIDEGATE_URL": gateway.url, "TIDEGATE_API_KEY": next(keys)}


@pytest.fixture
def manuals(tmp_path: Path) -> Path:
    """A folder with documents, in the folder where commands run."""
    write(
        tmp_path,
        {
            "manuals/lamp/readme.md": "# Cleaning\n\nThe lamp is cleaned with vinegar.",
            "manuals/oil/readme.md": "# Supplies\n\nThe oil is kept in the cellar.",
            "manuals/.git/notes.md": "hidden",
            "manuals/picture.unknown": "no document",
        },
    )
    (tmp_path / "manuals" / "harbour.pdf").write_bytes(pdf(HARBOUR, title="Harbour rules"))
    return tmp_path / "manuals"


def write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


def documents_of(run: RunCommand, at: Environment, slug: str = "docs") -> list[dict[str, Any]]:
    told = run("workspace", "documents", slug, "--json", environment=at)
    assert told.returncode == 0, told.stderr
    listed: list[dict[str, Any]] = json.loads(told.stdout)
    return listed


def titles(documents: list[dict[str, Any]]) -> list[str]:
    return sorted(each["metadata"]["title"] for each in documents)


def test_a_workspace_is_made_listed_and_deleted(run_inside: RunCommand, at: Environment) -> None:
    empty = run_inside("workspace", "list", environment=at)
    assert empty.stdout == "There is no workspace yet; make one with: tidegate workspace create NAME\n"
    made = run_inside("workspace", "create", "My manuals", environment=at)
    assert (made.returncode, made.stdout) == (0, "my-manuals\n")
    listed = run_inside("workspace", "list", environment=at).stdout
    assert re.search(r"my-manuals\s+My manuals\s+0\s+0\s", listed)
    refused = run_inside("workspace", "delete", "my-manuals", text="", environment=at)
    assert refused.returncode == 1
    assert "--yes deletes without a question" in refused.stderr
    by_name = run_inside("workspace", "delete", "My manuals", "--yes", environment=at)
    assert (by_name.returncode, by_name.stdout) == (0, "my-manuals: is deleted\n")
    assert json.loads(run_inside("workspace", "list", "--json", environment=at).stdout) == []


def test_a_folder_is_added_with_what_can_be_read_in_it(
    run_inside: RunCommand, at: Environment, manuals: Path
) -> None:
    done = run_inside("workspace", "add", "docs", "manuals", "--create", environment=at)
    assert done.returncode == 0, done.stderr
    *lines, last = done.stdout.splitlines()
    assert sorted(lines) == [
        "manuals/harbour.pdf: added",
        "manuals/lamp/readme.md: added",
        "manuals/oil/readme.md: added",
    ]
    assert last == "docs: 3 added"
    assert done.stderr == "docs: is made\nLeft out 1 file of other kinds: .unknown.\n"
    inside = documents_of(run_inside, at)
    assert titles(inside) == ["Cleaning", "Harbour rules", "Supplies"]
    assert {each["state"] for each in inside} == {"indexed"}
    table = run_inside("workspace", "documents", "docs", environment=at).stdout
    assert re.search(r"[0-9a-f]{8}\s+Harbour rules\s+indexed\s+2\s", table)


def test_a_run_that_is_repeated_sends_only_what_is_new(
    run_inside: RunCommand, at: Environment, manuals: Path
) -> None:
    run_inside("workspace", "create", "docs", environment=at)
    run_inside("workspace", "add", "docs", "manuals/lamp", environment=at)
    before = documents_of(run_inside, at)
    again = run_inside("workspace", "add", "docs", "manuals", environment=at).stdout
    assert again.endswith("docs: 2 added, 1 there already\n")
    assert "manuals/lamp/readme.md: there already\n" in again
    write(manuals, {"lamp/readme.md": "# Cleaning\n\nThe lamp is cleaned with spirit."})
    changed = run_inside("workspace", "add", "docs", "manuals/**/*.md", environment=at).stdout
    assert sorted(changed.splitlines()) == [
        "docs: 1 updated, 1 there already",
        "manuals/lamp/readme.md: updated",
        "manuals/oil/readme.md: there already",
    ]
    after = documents_of(run_inside, at)
    assert len(after) == 3
    assert before[0]["docId"] in [each["docId"] for each in after]
    found = run_inside("workspace", "search", "docs", "lamp spirit vinegar", environment=at).stdout
    assert "cleaned with spirit" in found
    assert "cleaned with vinegar" not in found


def test_a_run_that_is_stopped_goes_on_when_it_is_repeated(
    run_command: RunCommand, at: Environment, tmp_path: Path
) -> None:
    write(tmp_path, {f"many/{number}.txt": f"This is about thing{number}." for number in range(60)})
    words = ("workspace", "add", "docs", "many", "--create")
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "tidegate", *words],
        cwd=tmp_path,
        env={**clean_environment(), "TIDEGATE_HOME": str(tmp_path), **at},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().endswith(": added\n")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
    assert process.returncode == 130
    assert re.search(r"Stopped: \d+ added\. The same command goes on from there\.", errors)
    again = run_command(*words, environment=at)
    told = re.search(r"^docs: (\d+) added, (\d+) there already$", again.stdout, re.MULTILINE)
    assert told
    assert int(told[1]) + int(told[2]) == 60
    assert len(set(titles(documents_of(run_command, at)))) == 60


def test_workspaces_do_not_replace_each_others_files(
    run_inside: RunCommand, at: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {"one/readme.md": "About whales.", "two/readme.md": "About gulls."})
    for name in ("one", "two"):
        monkeypatch.chdir(tmp_path / name)
        done = run_inside("workspace", "add", name, "readme.md", "--create", environment=at)
        assert done.returncode == 0, done.stderr
    assert "whales" in run_inside("workspace", "search", "one", "whales", environment=at).stdout


def test_what_cannot_be_read_is_told_at_the_end_and_the_rest_is_there(
    run_inside: RunCommand, at: Environment, manuals: Path
) -> None:
    (manuals / "damaged.pdf").write_bytes(b"%PDF-1.7 and then nothing")
    (manuals / "huge.txt").write_text("words " * 400_000, "utf-8")
    named = ("manuals", "nowhere.txt", "manuals/picture.unknown", "http://127.0.0.1:1/page")
    done = run_inside("workspace", "add", "docs", *named, "--create", environment=at)
    assert done.returncode == 1
    assert re.search(r"^docs: 3 added, [45] failed$|^docs: 4 added, 4 failed$", done.stdout, re.MULTILINE)
    told = [line for line in done.stderr.splitlines() if line.startswith("tidegate: ")]
    assert "tidegate: nowhere.txt: there is no such file or folder" in told
    assert any(line.startswith("tidegate: manuals/damaged.pdf") and "damaged" in line for line in told)
    assert any("manuals/huge.txt" in line for line in told)
    assert any("http://127.0.0.1:1/page" in line for line in told)
    assert {"Cleaning", "Harbour rules", "Supplies"} <= set(titles(documents_of(run_inside, at)))


def test_an_unknown_workspace_is_told_with_the_nearest_and_what_helps(
    run_inside: RunCommand, at: Environment, manuals: Path
) -> None:
    run_inside("workspace", "create", "docs", environment=at)
    missing = run_inside("workspace", "add", "dosc", "manuals", environment=at)
    assert (missing.returncode, missing.stderr) == (
        1,
        "tidegate: there is no workspace 'dosc'; did you mean 'docs'? --create makes it\n",
    )
    for words in (["documents", "x"], ["search", "x", "q"], ["export", "x"], ["ask", "x", "q"]):
        done = run_inside("workspace", *words, environment=at)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == (
            "tidegate: there is no workspace 'x'; tidegate workspace list shows which there are\n"
        )


def test_nothing_to_add_is_told(run_inside: RunCommand, at: Environment, tmp_path: Path) -> None:
    write(tmp_path, {"other/a.unknown": "x"})
    done = run_inside("workspace", "add", "docs", "other", "--create", environment=at)
    assert done.returncode == 1
    assert done.stderr == (
        "tidegate: there is no file that the gateway reads in this folder; it has 1 file of other kinds: "
        ".unknown\n"
    )
    assert json.loads(run_inside("workspace", "list", "--json", environment=at).stdout) == []


def test_documents_are_taken_out_by_title_and_by_id(
    run_inside: RunCommand, at: Environment, manuals: Path
) -> None:
    run_inside("workspace", "add", "docs", "manuals", "--create", environment=at)
    harbour = next(each for each in documents_of(run_inside, at) if "Harbour" in each["metadata"]["title"])
    wrong = run_inside("workspace", "remove", "docs", "Supplies", "Nothing", environment=at)
    assert (wrong.returncode, wrong.stderr) == (
        1,
        "tidegate: there is no document 'Nothing' in docs; "
        "tidegate workspace documents docs shows what is in it\n",
    )
    done = run_inside("workspace", "remove", "docs", "Supplies", environment=at)
    assert (done.returncode, done.stdout) == (0, "Supplies: is taken out\n")
    done = run_inside("workspace", "remove", "docs", harbour["docId"][:8], "--everywhere", environment=at)
    assert (done.returncode, done.stdout) == (0, "Harbour rules: is deleted\n")
    assert titles(documents_of(run_inside, at)) == ["Cleaning"]
    run_inside("workspace", "delete", "docs", "--yes", "--documents", environment=at)
    run_inside("workspace", "create", "docs", environment=at)
    assert documents_of(run_inside, at) == []


def test_an_answer_is_followed_by_where_it_is_from(
    run_inside: RunCommand, at: Environment, manuals: Path, upstream: Upstream
) -> None:
    run_inside("workspace", "add", "docs", "manuals", "--create", environment=at)
    upstream.play(text_stream(["By the ", "harbour master."]))
    question = "Who signs each manifest?"
    done = run_inside("workspace", "ask", "docs", question, "--mode", "query", environment=at)
    assert (done.returncode, done.stderr) == (0, "")
    answer, _, sources = done.stdout.partition("\n\nSources:\n")
    assert answer == "By the harbour master."
    assert re.match(r"  1\. Harbour rules, page 1 · [01]\.\d\d\n", sources)
    sent = json.dumps(upstream.request().json["messages"])
    assert "The harbour master signs each manifest." in sent
    refused = run_inside("workspace", "ask", "docs", "xylophone?", "--mode", "query", environment=at)
    assert refused.stdout == "There is no relevant information in this workspace to answer your query.\n"


def test_a_thread_remembers_what_was_asked_in_it(
    run_inside: RunCommand, at: Environment, upstream: Upstream
) -> None:
    run_inside("workspace", "create", "docs", environment=at)
    unknown = run_inside("workspace", "ask", "docs", "hi", "--thread", "t", environment=at)
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "thread t is not valid" in unknown.stderr
    headers = {"Authorization": f"Bearer {at['TIDEGATE_API_KEY']}"}
    path = "/api/v1/workspace/docs/thread/new"
    where = urlsplit(at["TIDEGATE_URL"])
    address = (where.hostname or "", where.port or 0)
    assert fetch(address, "POST", path, {"slug": "t"}, headers).status == 200
    for question in ("What floats?", "And what sinks?"):
        asked = ("ask", "docs", question, "--thread", "t", "--mode", "chat")
        assert run_inside("workspace", *asked, environment=at).returncode == 0
    said = [each["content"] for each in upstream.request(1).json["messages"] if each["role"] == "user"]
    assert "What floats?" in json.dumps(said[0])
    assert "And what sinks?" in json.dumps(said[-1])


def test_search_shows_passages_with_their_pages(
    run_inside: RunCommand, at: Environment, manuals: Path
) -> None:
    run_inside("workspace", "create", "docs", environment=at)
    nothing = run_inside("workspace", "search", "docs", "brass", environment=at)
    assert nothing.stdout == "There is nothing to find yet; see: tidegate workspace documents docs\n"
    run_inside("workspace", "add", "docs", "manuals", environment=at)
    shown = run_inside("workspace", "search", "docs", "clockwork of brass", "--top", "1", environment=at)
    assert re.fullmatch(
        r"1\. Harbour rules, page 2 · [01]\.\d\d\n   The lamp is turned by a clockwork of brass\.\n\n",
        shown.stdout,
    )
    more = run_inside("workspace", "search", "docs", "lamp", "--threshold", "0", "--json", environment=at)
    assert len(json.loads(more.stdout)) > 1
    none = run_inside("workspace", "search", "docs", "xylophone", "--threshold", "1", environment=at)
    assert none.stdout == "Nothing was found; --threshold 0 shows what fits badly, too.\n"


@pytest.mark.parametrize("form", ["jsonl", "json", "csv"])
def test_the_chats_of_one_workspace_are_exported(
    run_command: RunCommand, run_inside: RunCommand, at: Environment, form: str
) -> None:
    for slug in ("one", "two"):
        run_inside("workspace", "create", slug, environment=at)
        run_inside("workspace", "ask", slug, f"About {slug}?", "--mode", "chat", environment=at)
    done = run_command("workspace", "export", "two", "--format", form, environment=at)
    assert done.returncode == 0, done.stderr
    assert "About two?" in done.stdout
    assert "About one?" not in done.stdout
    assert done.stdout.endswith("\n")
    if form != "csv":
        json.loads(done.stdout)


def test_a_wrong_key_and_no_gateway_are_told_as_elsewhere(
    run_inside: RunCommand, at: Environment, manuals: Path
) -> None:
    for words in (["list"], ["add", "docs", "manuals"], ["create", "x"]):
        wrong = run_inside("workspace", *words, "--key", "sk-wrong", environment=at)
        assert "does not take this key; give the right one with --key KEY" in wrong.stderr
        gone = run_inside("workspace", *words, "--url", "http://127.0.0.1:1", environment=at)
        assert gone.stderr == (
            "tidegate: No gateway answers at http://127.0.0.1:1; start one with: tidegate serve\n"
        )


def test_a_bar_is_shown_in_a_terminal(open_terminal: OpenTerminal, at: Environment, manuals: Path) -> None:
    terminal = open_terminal("workspace", "add", "docs", "manuals", "--create", environment=at)
    terminal.wait_for("docs: 3 added")
    assert terminal.wait_for_end() == 0
    assert "3/3" in terminal.raw
    asked = open_terminal("workspace", "delete", "docs", environment=at)
    asked.wait_for("Delete docs (3 documents) with its chats, for good?")
    asked.enter("n")
    asked.wait_for("Nothing was deleted.")
    assert asked.wait_for_end() == 1


def test_without_a_question_a_talk_begins_that_shows_sources(
    open_terminal: OpenTerminal, at: Environment, manuals: Path, upstream: Upstream
) -> None:
    filling = open_terminal("workspace", "add", "docs", "manuals", "--create", environment=at)
    assert filling.wait_for_end() == 0
    terminal = open_terminal("workspace", "ask", "docs", environment=at)
    terminal.wait_for("talking to workspace/docs")
    terminal.wait_for_prompt()
    upstream.play(text_stream(["The harbour master."]))
    terminal.enter("Who signs each manifest?")
    terminal.wait_for("1. Harbour rules, page 1 ·")
    terminal.wait_for_prompt(2)
    terminal.end_input()
    assert terminal.wait_for_end() == 0


@pytest.mark.parametrize("name", ["", *SUBCOMMANDS])
def test_help_fits_a_terminal(name: str) -> None:
    shown = CliRunner().invoke(main, ["workspace", *filter(None, [name]), "--help"])
    assert shown.exit_code == 0
    assert all(len(line) <= 80 for line in shown.output.splitlines())
