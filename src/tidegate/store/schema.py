"""Owns the tables of the store: their columns, keys and indexes, in SQL that every database has.

All times are Unix milliseconds. A change here needs a step in `migrations/versions/`, which brings the
databases that exist to the same shape; a test compares the two.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import JSON, BigInteger, Boolean, Column, Index, LargeBinary, MetaData, String, Table

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
