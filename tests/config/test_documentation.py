"""docs/configuration.md says everything about every setting, and nothing that is not so."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from tidegate.config import (
    CONTINUES,
    QUIRKS,
    Auth,
    Config,
    Demo,
    Deployment,
    Limits,
    McpServer,
    Model,
    Provider,
    Retry,
    Server,
    Streams,
    Timeouts,
    Workspaces,
    load_config,
    load_presets,
)

PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text("utf-8")
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)

# What a heading documents; fields that are not written by an operator, or under another name.
STRUCTS: Mapping[str, type[msgspec.Struct]] = {
    "Top level": Config,
    "server": Server,
    "auth": Auth,
    "providers": Provider,
    "models": Model,
    "deployments": Deployment,
    "limits": Limits,
    "retry": Retry,
    "timeouts": Timeouts,
    "mcp": McpServer,
    "workspaces": Workspaces,
    "demo": Demo,
    "streams": Streams,
}
NOT_WRITTEN: Mapping[type[msgspec.Struct], set[str]] = {
    Config: {"source_path", "implicit_providers"},
    Auth: {"with_keys", "without_keys"},
    Provider: {"name", "title", "docs", "local", "continues_path"},
    Model: {"name"},
    McpServer: {"name"},
}
RENAMED: Mapping[type[msgspec.Struct], Mapping[str, str]] = {
    Provider: {"credential": "api_key"},
    Deployment: {"provider": "deployment", "model": "deployment"},
}


def section(heading: str) -> str:
    """Return the text between a heading and the next one."""
    found = re.search(rf"^##+ {heading}\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None, f"there is no heading {heading}"
    return found[1]


def rows(heading: str) -> dict[str, list[str]]:
    """Return the table under a heading: the name in the first column, and the other cells."""
    cells = [
        re.split(r" ?\| ?", line.strip().strip("|")) for line in section(heading).splitlines() if "|" in line
    ]
    return {row[0].strip().strip("`"): [cell.strip() for cell in row[1:]] for row in cells[2:]}


@pytest.mark.parametrize("heading", STRUCTS)
def test_every_setting_is_documented_and_none_that_is_not_there(heading: str) -> None:
    struct = STRUCTS[heading]
    renamed = RENAMED.get(struct, {})
    fields = {renamed.get(field, field) for field in struct.__struct_fields__}
    assert set(rows(heading)) == fields - NOT_WRITTEN.get(struct, set())


def test_every_struct_of_the_settings_has_its_heading() -> None:
    import tidegate.config.settings as module

    structs = {
        each for each in vars(module).values() if isinstance(each, type) and issubclass(each, msgspec.Struct)
    }
    assert structs - {msgspec.Struct} == set(STRUCTS.values())


@pytest.mark.parametrize("heading", ["server", "timeouts", "demo", "streams"])
def test_documented_defaults_are_the_defaults(heading: str, tmp_path: Path) -> None:
    settings = {name: yaml.safe_load(default.strip("`")) for name, (default, _) in rows(heading).items()}
    path = tmp_path / "defaults.yaml"
    path.write_text(yaml.safe_dump({heading: settings}))
    assert load_config(path, {}) == msgspec.structs.replace(Config(), source_path=str(path))


@pytest.mark.parametrize("heading", ["models", "retry"])
def test_documented_defaults_of_a_model_are_the_defaults(heading: str, tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        name: yaml.safe_load(default.strip("`"))
        for name, (default, _) in rows(heading).items()
        if "`" in default
    }
    model = {"use": "g/x", **(settings if heading == "models" else {heading: settings})}
    path = tmp_path / "defaults.yaml"
    path.write_text(yaml.safe_dump({"providers": {"g": {"base_url": "http://g/v1"}}, "models": {"m": model}}))
    assert load_config(path, {}).models["m"] == Model(name="m", use=(Deployment(provider="g", model="x"),))


@pytest.mark.parametrize("text", EXAMPLES)
def test_every_example_loads(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in re.findall(r"gguf: \"(?:~/)?([^\"]+)\"", text):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"GGUF")
    path = tmp_path / "tidegate.yaml"
    path.write_text(text)
    environ = {name: f"value-of-{name}" for name in re.findall(r"\$\{(\w+)\}", text)}
    config = load_config(path, environ)
    written = yaml.safe_load(text)
    assert set(config.models) == set(written.get("models", {}))
    assert set(config.providers) == set(written.get("providers", {}))


def test_there_are_examples_of_every_section() -> None:
    shown = set().union(*(yaml.safe_load(text) for text in EXAMPLES))
    assert shown >= {"server", "auth", "providers", "models", "default_model", "timeouts", "demo"}


def test_the_table_of_vendors_is_the_table_of_presets() -> None:
    documented = rows("Known vendors")
    assert list(documented) == list(load_presets())
    for preset in load_presets().values():
        title, base_url, variables, port, quirks = documented[preset.name]
        assert title == f"[{preset.title}]({preset.docs})"
        assert base_url == (f"`{preset.base_url}`" if preset.base_url else f"from `{preset.endpoint_env}`")
        assert re.findall(r"`(\w+)`", variables) == list(preset.env)
        assert port == str(preset.port or "")
        assert set(re.findall(r"`(\w+)`", quirks)) == preset.quirks


def test_every_quirk_is_documented_as_it_is() -> None:
    assert {name: cells[0] for name, cells in rows("quirks").items()} == dict(QUIRKS)


def test_every_variable_is_documented() -> None:
    documented = section("Environment variables")
    variables = {preset.endpoint_env for preset in load_presets().values() if preset.endpoint_env}
    for variable in {"TIDEGATE_API_KEYS", *variables}:
        assert f"`{variable}`" in documented


def test_links_within_the_page_lead_somewhere() -> None:
    anchors = {
        heading.strip().lower().replace(" ", "-") for heading in re.findall(r"^#+ (.*)$", PAGE, re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([\w-]+)\)", PAGE)) <= anchors


def test_every_way_to_go_on_is_documented_in_the_words_of_the_code() -> None:
    documented = rows("continues")
    ways = {name: cells[0] for name, cells in documented.items() if name in CONTINUES}
    assert ways == dict(CONTINUES)
    for preset in load_presets().values():
        assert (preset.name in documented) is (preset.continues is not None)
        if preset.continues is not None:
            assert documented[preset.name][0].startswith(f"[`{preset.continues}`]({preset.continues_docs})")
