"""The documents leave nothing out and name nothing that is not there."""

from __future__ import annotations

import html
import inspect
import re
from importlib import import_module

import pytest
from click import Context, Group

from tests.docs.examples import ROOT, blocks, documents
from tests.docs.test_openapi import paths_of_urls
from tests.fixtures import StartGateway
from tidegate.cli import main
from tidegate.config.sections import API_KEYS
from tidegate.server import cors
from tidegate.server.openapi import shared

PACKAGE = ROOT / "src" / "tidegate"
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
ENDPOINTS = (ROOT / "docs" / "endpoints.md").read_text(encoding="utf-8")
EVERYTHING = "\n".join(path.read_text(encoding="utf-8") for path in documents())
UNITS = {"": 1, "ms": 0.001, "s": 1, "min": 60, "KiB": 2**10, "MiB": 2**20}


def headers_of_ours() -> set[str]:
    """Request and response headers that only this gateway defines, or that mean something to it."""
    ours = {name for name in shared.headers() if name != "Retry-After"}
    listed = (cors._ALLOWED_HEADERS + b", " + cors._EXPOSED_HEADERS).decode("ascii").split(", ")
    return ours | {
        name for name in listed if name.startswith(("Tidegate-", "X-Request", "Idempotency", "Last-"))
    }


def test_every_url_is_documented() -> None:
    missing = [path for path in paths_of_urls() if not re.search(rf"`(/v1)?{re.escape(path)}`", ENDPOINTS)]
    assert missing == []


def test_every_header_is_documented() -> None:
    assert [name for name in sorted(headers_of_ours()) if f"`{name}`" not in ENDPOINTS] == []


def test_every_command_is_documented() -> None:
    names = main.list_commands(Context(main))
    assert [name for name in names if not re.search(rf"tidegate {name}\b", EVERYTHING)] == []


def test_documented_commands_and_options_exist() -> None:
    """What stands in a block or a code span after `tidegate`."""
    context = Context(main)
    spans = re.findall(r"`(tidegate [^`\n]+)`", EVERYTHING)
    lines = [line.strip() for block in blocks() for line in block.text.splitlines()]
    said = [line for line in lines if re.match(r"(\S*/)?tidegate [a-z]+", line)] + spans
    assert said
    for line in said:
        _, name, *rest = line.split("#")[0].split()
        command = main.get_command(context, name)
        assert command is not None, line
        if isinstance(command, Group) and rest and not rest[0].startswith("-"):
            group = command
            for each in rest.pop(0).split("|"):  # `create|list`
                command = group.get_command(Context(group), each)
                assert command is not None, line
        known = {option for parameter in command.params for option in parameter.opts}
        options = [word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)]
        assert [option for option in options if option not in known] == [], line


def test_variable_for_keys_is_documented() -> None:
    assert API_KEYS in EVERYTHING
    assert "TIDEGATE_API_KEY`" in EVERYTHING


def test_architecture_names_every_package_and_module_at_the_top() -> None:
    packages = [path.parent.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("__init__.py")]
    modules = [path.name for path in PACKAGE.glob("*.py") if not path.name.startswith("__")]
    expected = [f"`{each}/`" for each in packages if each != "."] + [f"`{each}`" for each in modules]
    assert [each for each in expected if each not in ARCHITECTURE] == []


def constants() -> list[tuple[str, str, str]]:
    """(value, constant, module) of the table of constants."""
    rows = re.findall(r"^\| ([\d.]+ ?\w*) \| `([^`]+)` \| `([^`]+)\.py` \|", ARCHITECTURE, re.MULTILINE)
    return [(value, name, f"tidegate.{path.replace('/', '.')}") for value, name, path in rows]


def test_constants_are_found() -> None:
    assert len(constants()) > 20


@pytest.mark.parametrize(("value", "name", "module"), constants())
def test_constant_is_as_documented(value: str, name: str, module: str) -> None:
    """A name with brackets is a default of a constructor's argument."""
    number, _, unit = value.partition(" ")
    holder, _, argument = name.removesuffix(")").partition("(")
    found = getattr(import_module(module), holder)
    if argument:
        found = inspect.signature(found).parameters[argument].default
    assert float(number) * UNITS[unit] == found


def test_layers_are_as_documented() -> None:
    """The numbers of the table, as the gate for imports has them."""
    from tests.house.test_layers import LAYERS

    rows = re.findall(r"^\| (\d+) \| `([\w/]+)(?:\.py|/)` \|", ARCHITECTURE, re.MULTILINE)
    assert rows
    assert {name: LAYERS[name] for _, name in rows} == {name: int(number) for number, name in rows}


def test_the_picture_shows_the_screen_of_a_start(start_gateway: StartGateway) -> None:
    """README's terminal, whose spaces are no-break ones, as rich exports them."""
    # With providers of its own, a gateway does not look for those of the machine that runs this test.
    gateway = start_gateway({"providers": {}, "default_model": "demo"})
    screen = gateway.output().replace(gateway.url, "http://127.0.0.1:7860")
    picture = html.unescape(re.sub(r"<[^>]+>", "", (ROOT / "docs/images/terminal.svg").read_text("utf-8")))
    shown = "".join(picture.split())
    missing = [line for line in screen.splitlines() if "".join(line.split()) not in shown]
    assert missing == [], "draw docs/images/terminal.svg anew"
