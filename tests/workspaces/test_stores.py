"""Workspaces, threads, chats and embeds in the database: bounded by their owners, and kept."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from tests.properties import examples
from tests.workspaces.conftest import Member, in_store
from tidegate.store.chats import ChatStore, NewChat
from tidegate.store.database import Database
from tidegate.store.embeds import Embed, EmbedStore
from tidegate.store.slugs import slugify
from tidegate.store.workspaces import WorkspaceStore

NOW = 1_800_000_000_123
Check = Callable[[WorkspaceStore, ChatStore, EmbedStore], Awaitable[None]]


def with_stores(folder: Path, check: Check) -> None:
    """Runs a check on the stores of a folder's database; it is NOW."""

    async def main() -> None:
        database = Database(folder / "tidegate.db")
        await database.open()
        try:
            await check(
                WorkspaceStore(database, lambda: NOW),
                ChatStore(database, lambda: NOW),
                EmbedStore(database, lambda: NOW),
            )
        finally:
            await database.close()

    asyncio.run(main())


async def new_embed(embeds: EmbedStore, workspace: int, **settings: object) -> Embed:
    made = await embeds.create(workspace, settings)
    assert made is not None
    return made


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("My New Workspace", "my-new-workspace"),
        ("C++", "c-plus-plus"),
        ("a.b", "a-dot-b"),
        ("Wow!", "wow-bang"),
        ("me@home", "me-at-home"),
        ("5*", "5-splat"),
        ('it\'s (a) "test": ~|', "its-a-test"),
        ("  Crème brûlée & Söhne  ", "creme-brulee-and-sohne"),
        ("Straße - 100%", "strasse-100percent"),
        ("snake_case--x", "snake_case-x"),
        ("你好世界", ""),
        ("文档 v2", "v2"),
        ("../../etc/passwd", "dot-dot-dot-dot-etcpasswd"),
        ("", ""),
    ],
)
def test_slugs_are_those_of_anythingllm(name: str, slug: str) -> None:
    assert slugify(name).lower() == slug


@given(st.text(max_size=300))
@examples(200)
def test_a_slug_can_stand_in_a_url(name: str) -> None:
    assert re.fullmatch(r"(?:[A-Za-z0-9_]+(?:-[A-Za-z0-9_]+)*)?", slugify(name))
    assert len(slugify(name)) <= 200


def test_names_that_clash_get_digits_and_those_without_letters_a_uuid(tmp_path: Path) -> None:
    async def check(store: WorkspaceStore, _: ChatStore, __: EmbedStore) -> None:
        first = await store.create("a", "My docs", {})
        second = await store.create("a", "My docs", {})
        elsewhere = await store.create("b", "My docs", {})
        chinese = await store.create("a", "你好世界", {})
        assert (first.slug, elsewhere.slug) == ("my-docs", "my-docs")
        assert re.fullmatch(r"my-docs-[1-9][0-9]{7}", second.slug)
        assert str(UUID(chinese.slug)) == chinese.slug

    with_stores(tmp_path, check)


def test_a_workspace_is_found_by_its_owner_only(tmp_path: Path) -> None:
    async def check(store: WorkspaceStore, _: ChatStore, __: EmbedStore) -> None:
        made = await store.create("a", "One", {"topN": 7})
        assert await store.get("a", "one") == made
        assert await store.get("a", "One") is None
        assert await store.get("b", "one") is None
        assert await store.list("b") == []
        assert await store.by_id(made.id) == made

    with_stores(tmp_path, check)


def test_an_update_changes_what_it_names(tmp_path: Path) -> None:
    async def check(store: WorkspaceStore, _: ChatStore, __: EmbedStore) -> None:
        made = await store.create("a", "One", {"topN": 7, "chatMode": "query"})
        named = await store.update(made.id, name="Two", embedder="small")
        assert named is not None
        assert (named.name, named.slug, named.settings, named.embedder) == (
            "Two",
            "one",
            made.settings,
            "small",
        )
        set_ = await store.update(made.id, settings={"topN": 1})
        assert set_ is not None
        assert (set_.settings, set_.embedder) == ({"topN": 1, "chatMode": "query"}, "small")
        bare = await store.update(made.id, embedder=None)
        assert bare is not None
        assert bare.embedder is None
        assert await store.update(made.id + 1, name="x") is None

    with_stores(tmp_path, check)


def test_what_belongs_to_a_workspace_goes_with_it(tmp_path: Path) -> None:
    async def check(store: WorkspaceStore, chats: ChatStore, embeds: EmbedStore) -> None:
        gone, stays = [await store.create("a", name, {}) for name in ("gone", "stays")]
        for each in (gone, stays):
            thread = await store.create_thread(each.id, "T", "t")
            assert thread is not None
            await chats.add(NewChat(workspace=each.id, thread=thread.id, prompt="p", response={"text": "r"}))
            await embeds.create(each.id, {})
        await store.delete(gone.id)
        assert await store.threads(gone.id, stays.id) == await store.threads(stays.id)
        assert [each.slug for each in await store.list("a")] == ["stays"]
        assert [each.slug for each in await chats.page("a", 0, 10)] == ["stays"]
        assert [each.slug for each in await embeds.list("a")] == ["stays"]
        again = await store.create("a", "gone", {})
        assert again.id > stays.id
        assert await store.create_thread(gone.id, "T") is None

    with_stores(tmp_path, check)


def test_nothing_is_kept_of_what_was_deleted_meanwhile(tmp_path: Path) -> None:
    async def check(store: WorkspaceStore, chats: ChatStore, embeds: EmbedStore) -> None:
        gone, stays = [await store.create("a", name, {}) for name in ("gone", "stays")]
        thread = await store.create_thread(stays.id, "T")
        assert thread is not None
        await store.delete(gone.id)
        await store.delete_thread(thread.id)
        said = {"prompt": "p", "response": {"text": "r"}}
        assert await chats.add(NewChat(workspace=gone.id, **said)) is None  # type: ignore[arg-type]
        assert await chats.add(NewChat(workspace=stays.id, thread=thread.id, **said)) is None  # type: ignore[arg-type]
        assert await embeds.create(gone.id, {}) is None
        assert [await chats.numbers(each.id) for each in (gone, stays)] == [[], []]

    with_stores(tmp_path, check)


def test_threads_are_bounded_by_their_workspace(tmp_path: Path) -> None:
    async def check(store: WorkspaceStore, chats: ChatStore, _: EmbedStore) -> None:
        one, two = [await store.create("a", name, {}) for name in ("one", "two")]
        first = await store.create_thread(one.id, "First", "My Talk")
        clash = await store.create_thread(one.id, "Again", "My Talk")
        nameless = await store.create_thread(two.id, "Nameless", user_id=3)
        assert first is not None
        assert clash is not None
        assert nameless is not None
        assert first.slug == "My-Talk"
        assert re.fullmatch(r"My-Talk-[1-9][0-9]{7}", clash.slug)
        assert str(UUID(nameless.slug)) == nameless.slug
        assert await store.thread(two.id, "My-Talk") is None
        assert await store.thread(one.id, "My-Talk") == first
        renamed = await store.rename_thread(first.id, "Last")
        assert renamed is not None
        assert (renamed.name, renamed.slug) == ("Last", "My-Talk")
        await chats.add(NewChat(workspace=one.id, thread=first.id, prompt="p", response={"text": "r"}))
        await store.delete_thread(first.id)
        assert await store.threads(one.id) == [clash]
        assert await chats.numbers(one.id) == []
        assert await store.rename_thread(first.id, "x") is None

    with_stores(tmp_path, check)


def test_conversations_are_apart(tmp_path: Path) -> None:
    async def check(store: WorkspaceStore, chats: ChatStore, embeds: EmbedStore) -> None:
        one = (await store.create("a", "one", {})).id
        embed = (await new_embed(embeds, one)).id
        thread = await store.create_thread(one, "T")
        assert thread is not None
        places = [
            {},
            {"thread": thread.id},
            {"session": "s"},
            {"session": "t"},
            {"embed": embed, "session": "s"},
            {"user_id": 3},
        ]
        for number, place in enumerate(places):
            for turn in range(3):
                chat = NewChat(workspace=one, prompt=f"{number}.{turn}", response={"text": "r"}, **place)  # type: ignore[arg-type]
                await chats.add(chat)
        for number, place in enumerate(places):
            found = await chats.history(one, limit=2, **place)  # type: ignore[arg-type]
            assert [each.prompt for each in found] == [f"{number}.1", f"{number}.2"]
        listed = await chats.listed(one, limit=4)  # whoever asked
        assert [each.prompt for each in listed] == ["0.0", "0.1", "0.2", "5.0"]
        newest = await chats.listed(one, limit=1, newest_first=True)
        assert [each.prompt for each in newest] == ["5.2"]
        await chats.forget(one, None, "s")
        assert await chats.history(one, session="s", limit=9) == []
        assert len(await chats.history(one, session="s", limit=9, include_only=False)) == 3
        assert len(await chats.history(one, session="s", embed=embed, limit=9)) == 3
        assert [each.prompt for each in await chats.of_embed(embed, session="s", limit=9)] == [
            "4.0",
            "4.1",
            "4.2",
        ]
        place = NewChat(workspace=one, prompt="5.0", response={}, embed=embed, session="s", stream="s5")
        assert not await chats.reserve(place, 3, None)
        assert not await chats.reserve(place, 4, 3)
        assert await chats.reserve(place, 4, 4)
        assert not await chats.reserve(structs.replace(place, session="t", stream="t0"), 4, 1)
        assert len(await chats.of_embed(embed, limit=9)) == 3
        await chats.add(structs.replace(place, response={"text": "a"}))
        chats.release("s5")
        assert [each.prompt for each in await chats.of_embed(embed, after=1, limit=9)][-1] == "5.0"
        await chats.forget(one, None, None, 3)
        assert len(await chats.listed(one, limit=9)) == 3

    with_stores(tmp_path, check)


def test_a_stream_is_noted_once(tmp_path: Path) -> None:
    async def check(store: WorkspaceStore, chats: ChatStore, _: EmbedStore) -> None:
        one = (await store.create("a", "one", {})).id
        first = await chats.add(
            NewChat(workspace=one, prompt="p\ud800", response={"text": "half"}, stream="s1")
        )
        again = await chats.add(
            NewChat(workspace=one, prompt="other", response={"text": "whole"}, stream="s1")
        )
        third = await chats.add(NewChat(workspace=one, prompt="q", response={"text": "\ud800"}, stream="s2"))
        assert first == again != third
        found = await chats.history(one, limit=9)
        assert [(each.id, each.prompt) for each in found] == [(first, "p?"), (third, "q")]
        assert found[0].response == {"text": "whole"}
        assert (found[0].created_ms, found[0].include, found[0].feedback) == (NOW, True, None)

    with_stores(tmp_path, check)


def test_pages_hold_an_owners_chats_only(tmp_path: Path) -> None:
    async def check(store: WorkspaceStore, chats: ChatStore, embeds: EmbedStore) -> None:
        mine, second, foreign = [
            (await store.create(owner, name, {})).id for owner, name in (("a", "x"), ("a", "y"), ("b", "x"))
        ]
        embed = (await new_embed(embeds, mine)).id
        for number in range(5):
            await chats.add(NewChat(workspace=mine, prompt=f"x{number}", response={"text": "r"}))
            await chats.add(NewChat(workspace=second, prompt=f"y{number}", response={"text": "r"}))
            await chats.add(NewChat(workspace=foreign, prompt="foreign", response={"text": "r"}))
            await chats.add(NewChat(workspace=mine, embed=embed, prompt="embedded", response={"text": "r"}))
        page = await chats.page("a", 2, 3)
        assert [each.chat.prompt for each in page] == ["y3", "x3", "y2"]
        assert [(each.name, each.slug, each.username) for each in page[:1]] == [("y", "y", None)]
        assert [each.chat.prompt for each in await chats.page("a", 0, 2, ("x",))] == ["x4", "x3"]
        assert await chats.page("a", 0, 2, ()) == []
        oldest = await chats.after("a", 0, 3)
        assert [each.chat.prompt for each in oldest] == ["x0", "y0", "x1"]
        assert [each.chat.prompt for each in await chats.after("a", oldest[-1].chat.id, 1)] == ["y1"]
        assert await chats.of_numbers("a", await chats.numbers(foreign)) == []
        assert len(await chats.of_numbers("a", await chats.numbers(mine))) == 5

    with_stores(tmp_path, check)


def test_embeds_are_found_by_their_owner_and_by_who_has_no_key(tmp_path: Path) -> None:
    async def check(store: WorkspaceStore, chats: ChatStore, embeds: EmbedStore) -> None:
        one = await store.create("a", "One", {})
        made = await new_embed(embeds, one.id, chat_mode="chat")
        await chats.add(
            NewChat(workspace=one.id, embed=made.id, session="s", prompt="p", response={"text": "r"})
        )
        assert await embeds.get(made.uuid) == made
        owned = await embeds.owned("a", made.uuid)
        assert owned is not None
        assert (owned.embed, owned.name, owned.slug, owned.chats) == (made, "One", "one", 1)
        assert await embeds.owned("b", made.uuid) is None
        assert await embeds.list("b") == []
        changed = await embeds.update(made.id, enabled=False, settings={"message_limit": 3})
        assert changed is not None
        assert (changed.enabled, changed.settings) == (False, {"chat_mode": "chat", "message_limit": 3})
        assert await embeds.get(made.uuid) == changed
        await embeds.delete(made.id)
        assert await embeds.get(made.uuid) is None
        assert await embeds.update(made.id) is None
        assert await chats.numbers(one.id) == []

    with_stores(tmp_path, check)


def test_all_of_it_outlives_the_process(tmp_path: Path) -> None:
    kept: list[object] = []

    async def write(store: WorkspaceStore, chats: ChatStore, embeds: EmbedStore) -> None:
        one = await store.create("a", "One", {"openAiPrompt": "世界"})
        thread = await store.create_thread(one.id, "T", "t")
        await chats.add(
            NewChat(workspace=one.id, prompt="世界", response={"text": "r", "sources": [{"score": 0.5}]})
        )
        embed = await embeds.create(one.id, {"allowlist_domains": ["https://a.example"]})
        kept.extend((one, thread, embed, await chats.history(one.id, limit=9)))

    async def read(store: WorkspaceStore, chats: ChatStore, embeds: EmbedStore) -> None:
        [one] = await store.list("a")
        [thread] = await store.threads(one.id)
        [owned] = await embeds.list("a")
        assert [one, thread, owned.embed, await chats.history(one.id, limit=9)] == kept

    with_stores(tmp_path, write)
    with_stores(tmp_path, read)


def test_no_more_is_read_of_a_conversation_than_any_model_takes(member: Member) -> None:
    workspace = member.new("Long")["id"]
    for number in range(4):
        member.add_chat(workspace, f"{number}" * (3 << 20))
    found = in_store(member.gateway, lambda _, chats: chats.history(workspace, limit=10**6))
    assert [chat.prompt[0] for chat in found] == ["2", "3"]
    member.add_chat(workspace, "x" * (9 << 20))
    (last,) = in_store(member.gateway, lambda _, chats: chats.history(workspace, limit=10**6))
    assert last.prompt[0] == "x"
