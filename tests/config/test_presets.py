"""The table of vendors: every row whole, nothing claimed twice."""

from __future__ import annotations

import tomllib
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import tidegate
from tidegate.config import CONTINUES, QUIRKS, Preset, load_presets, local_providers
from tidegate.config.values import parse_auth_form, parse_base_url, parse_provider_name
from tidegate.dialects import Continuable, load_dialect
from tidegate.errors import ConfigError

PRESETS = load_presets()
each_preset = pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda preset: preset.name)


def test_the_usual_vendors_are_there_in_order() -> None:
    assert list(PRESETS) == [
        "openai",
        "anthropic",
        "azure",
        "openrouter",
        "deepseek",
        "mistral",
        "groq",
        "together",
        "fireworks",
        "moonshot",
        "qwen",
        "zhipu",
        "siliconflow",
        "xai",
        "gemini",
        "google",
        "ollama",
        "vllm",
        "lmstudio",
        "llamacpp",
        "sglang",
    ]


@each_preset
def test_a_row_is_whole(preset: Preset) -> None:
    assert parse_provider_name(preset.name) == preset.name
    assert preset.title
    assert load_dialect(preset.dialect).name == preset.dialect
    assert parse_auth_form(preset.auth) == preset.auth
    assert preset.quirks <= set(QUIRKS)
    assert urlsplit(preset.docs).scheme == "https"
    assert urlsplit(preset.docs).path
    if preset.base_url:
        assert parse_base_url(preset.base_url) == preset.base_url
    else:
        assert preset.endpoint_env


@each_preset
def test_hosted_vendors_are_encrypted_and_have_a_credential(preset: Preset) -> None:
    parts = urlsplit(preset.base_url)
    if preset.local:
        assert (parts.scheme, parts.hostname, parts.port) == ("http", "127.0.0.1", preset.port)
    else:
        assert parts.scheme in {"https", ""}
        assert preset.env


def test_variables_addresses_and_ports_belong_to_one_vendor_each() -> None:
    claimed = Counter(variable for preset in PRESETS.values() for variable in preset.env)
    claimed += Counter(preset.endpoint_env for preset in PRESETS.values() if preset.endpoint_env)
    claimed += Counter(preset.base_url for preset in PRESETS.values() if preset.base_url)
    claimed += Counter(str(preset.port) for preset in PRESETS.values() if preset.port)
    assert not [name for name, count in claimed.items() if count > 1]


def test_every_quirk_is_some_vendors() -> None:
    assert set().union(*(preset.quirks for preset in PRESETS.values())) == set(QUIRKS)


def test_no_quirk_contradicts_another() -> None:
    for preset in PRESETS.values():
        assert not {"max_tokens", "max_completion_tokens"} <= preset.quirks


def test_the_table_is_part_of_the_package() -> None:
    file = Path(tidegate.__file__).parent / "sources" / "presets.toml"
    assert set(tomllib.loads(file.read_text("utf-8"))) == set(PRESETS)


def test_local_servers_are_asked_at_their_ports_with_their_keys() -> None:
    found = {provider.name: provider for provider in local_providers({"VLLM_API_KEY": " token-1 "})}
    assert set(found) == {name for name, preset in PRESETS.items() if preset.local}
    assert found["vllm"].signed_headers() == {"authorization": "Bearer token-1"}
    assert found["ollama"].credential is None
    assert all(provider.local for provider in found.values())


def test_a_key_that_no_header_can_carry_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^VLLM_API_KEY: the environment variable must be a key"):
        local_providers({"VLLM_API_KEY": "two words"})


@each_preset
def test_who_goes_on_with_an_answer_has_a_page_that_says_so(preset: Preset) -> None:
    if preset.continues is None:
        assert (preset.continues_docs, preset.continues_path) == (None, None)
        return
    assert preset.continues in set(CONTINUES) - {"none"}
    assert urlsplit(preset.continues_docs or "").scheme == "https"
    assert isinstance(load_dialect(preset.dialect), Continuable)
