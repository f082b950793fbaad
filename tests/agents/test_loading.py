"""Where agents come from, and what is said of those that cannot be loaded."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chat import text_stream
from tests.chat_stream import stream_chat
from tests.fixtures import StartGateway
from tests.gateway import Gateway, gateway_config
from tests.upstream import Upstream
from tidegate.agents.loading import load_agents
from tidegate.errors import ConfigError

DECLARES = """
from tidegate.agents import agent

@agent({name!r})
async def run(request, context):
    \"\"\"Says its name.\"\"\"
    yield {name!r}
"""
IMPORT = "from tidegate.agents import agent\n"
DOCS = (Path(__file__).parents[2] / "docs/how-to/agents.md").read_text("utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    before, path = set(sys.modules), list(sys.path)
    (tmp_path / "agents").mkdir()
    yield tmp_path / "agents"
    sys.path[:] = path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_files_of_a_folder_declare_agents(folder: Path) -> None:
    (folder / "one.py").write_text(DECLARES.format(name="one"))
    (folder / "_later.py").write_text("raise ValueError")
    (folder / "notes.txt").write_text("no Python")
    found = load_agents((), folder)
    assert found["one"].description == "Says its name."
    assert "write_tutorial" in found


def test_a_module_beside_the_folder_is_found_by_its_name(folder: Path) -> None:
    (folder.parent / "beside_it.py").write_text(DECLARES.format(name="two"))
    assert "two" in load_agents(("beside_it",), folder)


def test_an_operators_agent_wins_over_ours(folder: Path) -> None:
    (folder / "mine.py").write_text(DECLARES.format(name="compare"))
    assert load_agents((), folder)["compare"].description == "Says its name."


def test_a_package_names_its_agents_itself(folder: Path) -> None:
    package = folder.parent / "installed"
    (package / "somebodys-1.0.dist-info").mkdir(parents=True)
    (package / "somebodys-1.0.dist-info" / "METADATA").write_text("Name: somebodys\nVersion: 1.0\n")
    (package / "somebodys-1.0.dist-info" / "entry_points.txt").write_text(
        "[tidegate.agents]\nmine = somebodys\nbroken = nowhere_at_all\n"
    )
    (package / "somebodys.py").write_text(DECLARES.format(name="three"))
    sys.path.append(str(package))
    assert "three" in load_agents((), folder)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("import nowhere_at_all", "cannot be loaded: ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("x = 1 / 0", r"ZeroDivisionError: division by zero \(.*wrong.py:1\)"),
        (
            "from tidegate.agents import agent\n@agent('a b')\nasync def f(r, c): yield ''",
            "a name is letters",
        ),
        (f"{IMPORT}@agent('a')\ndef f(r, c): return ''", "async def f"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_with_its_place(folder: Path, source: str, told: str) -> None:
    (folder / "wrong.py").write_text(source)
    with pytest.raises(ConfigError, match=told) as raised:
        load_agents((), folder)
    assert "wrong.py" in raised.value.message


def test_two_of_one_name_are_refused(folder: Path) -> None:
    (folder / "a.py").write_text(DECLARES.format(name="same"))
    (folder / "b.py").write_text(DECLARES.format(name="same"))
    with pytest.raises(ConfigError, match="both declare the agent 'same'"):
        load_agents((), folder)


@pytest.fixture
def haiku(start_gateway: StartGateway, upstream: Upstream, tmp_path: Path) -> Gateway:
    """A gateway with the ten lines of the docs in its folder of agents."""
    found = re.search(r"## Your own in ten lines.*?```py\n(.*?)```", DOCS, re.DOTALL)
    assert found is not None
    folder = tmp_path / "gateway-0" / "agents"
    folder.mkdir(parents=True)
    (folder / "haiku.py").write_text(found[1], encoding="utf-8")
    return start_gateway(gateway_config(upstream.url))


def test_the_ten_lines_of_the_docs_are_an_agent(haiku: Gateway, upstream: Upstream) -> None:
    upstream.play(text_stream(["An old ", "silent pond"]))
    answer = stream_chat(haiku.address, "frogs", model="haiku").succeeded()
    assert answer.text() == "An old silent pond"
    assert answer.text(name="reasoning_content") == "Thinking of the sea\n"
    asked = upstream.requests[0].json["messages"]
    assert asked == [{"role": "user", "content": "Write a haiku about frogs"}]
