"""Owns the tables of the store: their columns, keys and indexes, in SQL that every database has.

All times are Unix milliseconds. A change here needs a step in `migrations/versions/`, which brings the
databases that exist to the same shape; a test compares the two.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import JSON, BigInteger, Boolean, Column, Index, Integer, LargeBinary, MetaData, String, Table

metadata: Final = MetaData()

counters: Final = Table(
    "counters",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", BigInteger, nullable=False),
    comment="How often something was changed, for whoever keeps a copy of it.",
)

keys: Final = Table(
    "keys",
    metadata,
    Column("id", String, primary_key=True),
    Column("caller", String, nullable=False),
    Column("name", String, nullable=False),
    Column("digest", LargeBinary, nullable=False, comment="SHA-256 of the key; the key itself is not kept."),
    Column("shown", String, nullable=False, comment="The key's first characters, for people."),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger),
    Column("revoked_ms", BigInteger),
    Column("models", JSON(none_as_null=True), comment="The models that it is for; null is all."),
    Column("workspaces", JSON(none_as_null=True), comment="The workspaces that it is for; null is all."),
    Column("on_disconnect", String, comment="What becomes of its streams when their readers have left."),
)
Index("keys_digest", keys.c.digest, unique=True)

streams: Final = Table(
    "streams",
    metadata,
    Column("id", String, primary_key=True),
    Column("caller", String, nullable=False),
    Column("model", String, nullable=False),
    Column("dialect", String, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("ended_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Column("outcome", String, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False, comment="What its events take."),
    Column("header", LargeBinary, nullable=False),
    Column("attempts", LargeBinary, nullable=False),
    Column("seams", LargeBinary, nullable=False),
    Column("idempotency_key", String),
    Column("body_hash", String, nullable=False),
    Column("parent", String, comment="The stream whose agent or workspace asked for this one."),
)
Index("streams_expires", streams.c.expires_ms, streams.c.bytes)
# What is kept is added up, and the oldest found, without reading headers.
Index("streams_ended", streams.c.ended_ms, streams.c.bytes)
Index("streams_caller", streams.c.caller, streams.c.created_ms)

stream_chunks: Final = Table(
    "stream_chunks",
    metadata,
    Column("stream", String, primary_key=True),
    Column("first_seq", BigInteger, primary_key=True, autoincrement=False),
    Column("last_seq", BigInteger, nullable=False),
    Column("events", LargeBinary, nullable=False),
    Column("summary", LargeBinary, comment="What a renderer must know to begin behind this chunk."),
    comment="The events of finished streams, many to a row.",
)

claims: Final = Table(
    "claims",
    metadata,
    Column("caller", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("stream", String, nullable=False),
    Column("body_hash", String, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    comment="Idempotency keys, and the stream that each stands for.",
)
Index("claims_created", claims.c.created_ms)

steps: Final = Table(
    "steps",
    metadata,
    Column("stream", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("created_ms", BigInteger, nullable=False),
    Column("result", LargeBinary, nullable=False),
    comment="What the steps of agents came to.",
)
Index("steps_created", steps.c.created_ms)

generations: Final = Table(
    "generations",
    metadata,
    Column("stream", String, primary_key=True),
    Column("caller", String, nullable=False),
    Column("key_id", String),
    Column("parent", String, comment="The stream whose agent or workspace asked for this one."),
    Column("model", String, nullable=False),
    Column("answered", String, comment="The model that answered, where it is another one."),
    Column("dialect", String, nullable=False, comment="Or the path, where it is no generation."),
    Column("outcome", String, nullable=False),
    Column("error", String),
    Column("created_ms", BigInteger, nullable=False),
    Column("first_ms", BigInteger, comment="From the request to the first delta."),
    Column("total_ms", BigInteger),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("cached_tokens", BigInteger, nullable=False),
    Column("reasoning_tokens", BigInteger, nullable=False),
    Column("estimated", Boolean, nullable=False, comment="Tokens were counted here, not by an upstream."),
    Column("attempts", JSON, nullable=False),
    comment="The ledger: one row for each generation, and for each call of another kind.",
)
Index("generations_caller", generations.c.caller, generations.c.created_ms)
Index("generations_created", generations.c.created_ms)

responses: Final = Table(
    "responses",
    metadata,
    Column("caller", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("created_ms", BigInteger, nullable=False),
    Column("response", LargeBinary, nullable=False),
    Column("input", LargeBinary, nullable=False),
)
Index("responses_caller", responses.c.caller, responses.c.created_ms)

NUMBER: Final = BigInteger().with_variant(Integer, "sqlite")
"""A number that the database gives."""

workspaces: Final = Table(
    "workspaces",
    metadata,
    Column("id", NUMBER, primary_key=True),
    Column("owner", String, nullable=False, comment="The caller that it belongs to."),
    Column("slug", String, nullable=False),
    Column("name", String, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Column("settings", JSON, nullable=False),
    Column("embedder", String, comment="The model whose vectors are searched; null while there are none."),
    sqlite_autoincrement=True,
)
Index("workspaces_slug", workspaces.c.owner, workspaces.c.slug, unique=True)

threads: Final = Table(
    "threads",
    metadata,
    Column("id", NUMBER, primary_key=True),
    Column("workspace", BigInteger, nullable=False),
    Column("slug", String, nullable=False),
    Column("name", String, nullable=False),
    Column("user_id", BigInteger),
    Column("created_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)
Index("threads_slug", threads.c.workspace, threads.c.slug, unique=True)

chats: Final = Table(
    "chats",
    metadata,
    Column("id", NUMBER, primary_key=True),
    Column("workspace", BigInteger, nullable=False),
    Column("thread", BigInteger),
    Column("session", String, comment="Chats of a session, or of an embed's visitor, are apart."),
    Column("embed", BigInteger, comment="The embed that it came through."),
    Column("user_id", BigInteger),
    Column("prompt", String, nullable=False),
    Column("response", LargeBinary, nullable=False),
    Column("include", Boolean, nullable=False, comment="Whether it is part of the history that models see."),
    Column("created_ms", BigInteger, nullable=False),
    Column("feedback", Boolean),
    Column("stream", String, comment="The stream that answered, which is noted once."),
    sqlite_autoincrement=True,
)
Index("chats_workspace", chats.c.workspace, chats.c.thread, chats.c.session, chats.c.id)
Index("chats_stream", chats.c.stream, unique=True)
Index("chats_embed", chats.c.embed, chats.c.session, chats.c.id)

folders: Final = Table(
    "folders",
    metadata,
    Column("owner", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("created_ms", BigInteger, nullable=False),
)

documents: Final = Table(
    "documents",
    metadata,
    Column("id", String, primary_key=True),
    Column("owner", String, nullable=False),
    Column("folder", String, nullable=False),
    Column("name", String, nullable=False, comment="Unique within the folder."),
    Column("file_name", String, nullable=False, comment="What whoever sent it calls it."),
    Column("content_hash", String, nullable=False, comment="SHA-256 of what was sent, in hexadecimal."),
    Column("facts", JSON, nullable=False, comment="Title, author and the like."),
    Column("words", BigInteger, nullable=False),
    Column("tokens", BigInteger, nullable=False, comment="About how many it has."),
    Column("pages", LargeBinary, nullable=False, comment="The text, compressed."),
    Column("created_ms", BigInteger, nullable=False),
)
Index("documents_name", documents.c.owner, documents.c.folder, documents.c.name, unique=True)
Index("documents_hash", documents.c.owner, documents.c.content_hash)
Index("documents_file", documents.c.owner, documents.c.folder, documents.c.file_name)

placements: Final = Table(
    "placements",
    metadata,
    Column("id", NUMBER, primary_key=True),
    Column("workspace", BigInteger, nullable=False),
    Column("document", String, nullable=False),
    Column("pinned", Boolean, nullable=False),
    Column("watched", Boolean, nullable=False),
    Column("state", String, nullable=False, comment="waiting, indexed or failed."),
    Column("error", String),
    Column("passages", BigInteger, nullable=False, comment="How many it was cut into."),
    Column("created_ms", BigInteger, nullable=False),
    comment="Which documents a workspace answers from.",
    sqlite_autoincrement=True,
)
Index("placements_document", placements.c.workspace, placements.c.document, unique=True)
Index("placements_of", placements.c.document)
Index("placements_state", placements.c.state)

passages: Final = Table(
    "passages",
    metadata,
    Column("id", NUMBER, primary_key=True),
    Column("workspace", BigInteger, nullable=False),
    Column("document", String, nullable=False),
    Column("number", BigInteger, nullable=False, comment="Its place in the document, from 0."),
    Column("page", BigInteger),
    Column("heading", String, nullable=False, comment="The headings above it, the outermost first."),
    Column("text", String, nullable=False),
    sqlite_autoincrement=True,
)
Index("passages_document", passages.c.workspace, passages.c.document, passages.c.number)

vectors: Final = Table(
    "vectors",
    metadata,
    Column("passage", BigInteger, primary_key=True, autoincrement=False),
    Column("embedder", String, primary_key=True),
    Column("workspace", BigInteger, nullable=False),
    Column("vector", LargeBinary, nullable=False, comment="Of length 1, in numbers of 16 bits."),
)
Index("vectors_workspace", vectors.c.workspace, vectors.c.embedder)

vector_changes: Final = Table(
    "vector_changes",
    metadata,
    Column("workspace", BigInteger, primary_key=True, autoincrement=False),
    Column("embedder", String, primary_key=True),
    Column("added", BigInteger, nullable=False),
    Column("removed", BigInteger, nullable=False),
    comment="How often vectors came and went: who has them in memory sees what they lack.",
)

embeds: Final = Table(
    "embeds",
    metadata,
    Column("id", NUMBER, primary_key=True),
    Column("uuid", String, nullable=False),
    Column("workspace", BigInteger, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("settings", JSON, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    comment="Doors into a workspace that need no key.",
    sqlite_autoincrement=True,
)
Index("embeds_uuid", embeds.c.uuid, unique=True)
Index("embeds_workspace", embeds.c.workspace)

users: Final = Table(
    "users",
    metadata,
    Column("id", NUMBER, primary_key=True),
    Column("owner", String, nullable=False),
    Column("username", String, nullable=False),
    Column("password", String, nullable=False, comment="Its salted scrypt hash."),
    Column("role", String, nullable=False),
    Column("suspended", Boolean, nullable=False),
    Column("facts", JSON, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)
Index("users_username", users.c.owner, users.c.username, unique=True)

members: Final = Table(
    "members",
    metadata,
    Column("workspace", BigInteger, primary_key=True, autoincrement=False),
    Column("user_id", BigInteger, primary_key=True, autoincrement=False),
    comment="Which users may use a workspace.",
)

invites: Final = Table(
    "invites",
    metadata,
    Column("id", NUMBER, primary_key=True),
    Column("owner", String, nullable=False),
    Column("code", String, nullable=False),
    Column("status", String, nullable=False),
    Column("workspaces", JSON, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

preferences: Final = Table(
    "preferences",
    metadata,
    Column("owner", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("value", JSON, nullable=False),
)
