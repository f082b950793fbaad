"""Settings of workspaces and embeds: what is no sense is the default, as AnythingLLM has it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.properties import examples
from tidegate.store.workspaces import Workspace
from tidegate.workspaces.embeds import embed_changes, read_embed_settings
from tidegate.workspaces.settings import Settings, as_object, changes, read_name, read_settings

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.parametrize(
    ("name", "value", "taken"),
    [
        ("openAiTemp", "0.7", 0.7),
        ("openAiTemp", 1, 1.0),
        ("openAiTemp", -1, None),
        ("openAiTemp", "warm", None),
        ("openAiTemp", float("nan"), None),
        ("openAiTemp", True, None),
        ("openAiHistory", "12 or so", 12),
        ("openAiHistory", -5, 0),
        ("openAiHistory", None, 20),
        ("openAiHistory", 10**400, 20),
        ("openAiHistory", 1e300, 2**31 - 1),
        ("similarityThreshold", "0.5", 0.5),
        ("similarityThreshold", 7, 1.0),
        ("similarityThreshold", -0.1, 0.0),
        ("similarityThreshold", [], 0.25),
        ("topN", "0", 1),
        ("topN", 7.9, 7),
        ("topN", {}, 4),
        ("chatMode", "query", "query"),
        ("chatMode", "Query", "automatic"),
        ("chatMode", ["query"], "automatic"),
        ("chatProvider", "none", None),
        ("chatProvider", "openai", "openai"),
        ("agentProvider", "none", None),
        ("chatModel", "", None),
        ("openAiPrompt", 3, None),
        ("queryRefusalResponse", "No.", "No."),
        ("vectorSearchMode", "rerank", "rerank"),
        ("vectorSearchMode", "best", "default"),
    ],
)
def test_a_value_is_read_as_anythingllm_reads_it(name: str, value: Any, taken: Any) -> None:
    assert changes({name: value}) == {name: taken}


def test_what_cannot_be_set_is_left_out() -> None:
    asked = {"slug": "x", "id": 9, "pfpFilename": "../x", "router_id": 3, "createdAt": 0, "vectorTag": "x"}
    assert changes(asked) == {}
    assert changes({"chatProvider": "default"}) == {"chatProvider": None, "chatModel": None}


def test_what_is_not_set_has_its_default() -> None:
    assert read_settings({}) == Settings()
    assert read_settings({"topN": 9, "unknown": 1}) == Settings(top_n=9)


@given(st.dictionaries(st.sampled_from([*Settings.__struct_encode_fields__, "name", "x"]), ANYTHING))
@examples(200)
def test_whatever_is_asked_can_be_read_again(asked: dict[str, Any]) -> None:
    kept = changes(asked)
    settings = read_settings(kept)
    assert settings.top_n >= 1
    assert 0 <= settings.similarity_threshold <= 1
    assert settings.open_ai_history >= 0
    assert changes(kept) == kept


@given(ANYTHING)
@examples(100)
def test_a_name_is_never_empty(value: Any) -> None:
    assert 0 < len(read_name(value)) <= 255


def test_columns_stand_in_anythingllms_order() -> None:
    workspace = Workspace(
        id=3, owner="a", slug="s", name="S", created_ms=1_692_851_630_007, updated_ms=0, settings={"topN": 9}
    )
    assert list(as_object(workspace).items()) == [
        ("id", 3),
        ("name", "S"),
        ("slug", "s"),
        ("vectorTag", None),
        ("createdAt", "2023-08-24T04:33:50.007Z"),
        ("openAiTemp", None),
        ("openAiHistory", 20),
        ("lastUpdatedAt", "1970-01-01T00:00:00.000Z"),
        ("openAiPrompt", None),
        ("similarityThreshold", 0.25),
        ("chatProvider", None),
        ("chatModel", None),
        ("topN", 9),
        ("chatMode", "automatic"),
        ("pfpFilename", None),
        ("agentProvider", None),
        ("agentModel", None),
        ("queryRefusalResponse", None),
        ("vectorSearchMode", "default"),
        ("router_id", None),
    ]


@pytest.mark.parametrize(
    ("domains", "origins"),
    [
        (None, None),
        ("", None),
        ([], None),
        ("Example.com, http://b.example:8080/path", ["https://example.com", "http://b.example:8080"]),
        (["a.example"], ["https://a.example"]),
        (["[::1]:3000"], ["https://[::1]:3000"]),
        (",", []),
        ([3, "", "http://["], []),
        ({"a": 1}, []),
        (7, []),
    ],
)
def test_domains_that_make_no_sense_let_nobody_in(domains: Any, origins: list[str] | None) -> None:
    kept = embed_changes({"allowlist_domains": domains})
    assert kept == {"allowlist_domains": origins}
    settings = read_embed_settings(kept)
    assert settings.allowlist_domains == (None if origins is None else tuple(origins))


@given(st.dictionaries(st.sampled_from(["chat_mode", "allowlist_domains", "message_limit", "x"]), ANYTHING))
@examples(100)
def test_whatever_an_embed_is_told_can_be_read_again(asked: dict[str, Any]) -> None:
    settings = read_embed_settings(embed_changes(asked))
    assert settings.chat_mode in ("query", "chat", "automatic")
    assert settings.message_limit is None or settings.message_limit > 0
