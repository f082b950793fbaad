"""The first tables."""

from __future__ import annotations

from alembic import op
from sqlalchemy import JSON, BigInteger, Boolean, Column, LargeBinary, String

revision = "0001"
down_revision = None


def upgrade() -> None:
    """See :mod:`tidegate.store.schema` for what each is for."""
    op.create_table(
        "counters",
        Column("name", String, primary_key=True),
        Column("value", BigInteger, nullable=False),
    )
    op.create_table(
        "keys",
        Column("id", String, primary_key=True),
        Column("caller", String, nullable=False),
        Column("name", String, nullable=False),
        Column("digest", LargeBinary, nullable=False),
        Column("shown", String, nullable=False),
        Column("created_ms", BigInteger, nullable=False),
        Column("expires_ms", BigInteger),
        Column("revoked_ms", BigInteger),
        Column("models", JSON),
        Column("workspaces", JSON),
        Column("on_disconnect", String),
    )
    op.create_index("keys_digest", "keys", ["digest"], unique=True)
    _create_streams()
    op.create_table(
        "steps",
        Column("stream", String, primary_key=True),
        Column("name", String, primary_key=True),
        Column("created_ms", BigInteger, nullable=False),
        Column("result", LargeBinary, nullable=False),
    )
    op.create_index("steps_created", "steps", ["created_ms"])
    _create_generations()
    op.create_table(
        "responses",
        Column("caller", String, primary_key=True),
        Column("id", String, primary_key=True),
        Column("created_ms", BigInteger, nullable=False),
        Column("response", LargeBinary, nullable=False),
        Column("input", LargeBinary, nullable=False),
    )
    op.create_index("responses_caller", "responses", ["caller", "created_ms"])


def _create_streams() -> None:
    op.create_table(
        "streams",
        Column("id", String, primary_key=True),
        Column("caller", String, nullable=False),
        Column("model", String, nullable=False),
        Column("dialect", String, nullable=False),
        Column("created_ms", BigInteger, nullable=False),
        Column("ended_ms", BigInteger, nullable=False),
        Column("expires_ms", BigInteger, nullable=False),
        Column("outcome", String, nullable=False),
        Column("last_seq", BigInteger, nullable=False),
        Column("bytes", BigInteger, nullable=False),
        Column("header", LargeBinary, nullable=False),
        Column("attempts", LargeBinary, nullable=False),
        Column("seams", LargeBinary, nullable=False),
        Column("idempotency_key", String),
        Column("body_hash", String, nullable=False),
        Column("parent", String),
    )
    op.create_index("streams_expires", "streams", ["expires_ms", "bytes"])
    op.create_index("streams_ended", "streams", ["ended_ms", "bytes"])
    op.create_index("streams_caller", "streams", ["caller", "created_ms"])
    op.create_table(
        "stream_chunks",
        Column("stream", String, primary_key=True),
        Column("first_seq", BigInteger, primary_key=True, autoincrement=False),
        Column("last_seq", BigInteger, nullable=False),
        Column("events", LargeBinary, nullable=False),
        Column("summary", LargeBinary),
    )
    op.create_table(
        "claims",
        Column("caller", String, primary_key=True),
        Column("key", String, primary_key=True),
        Column("stream", String, nullable=False),
        Column("body_hash", String, nullable=False),
        Column("created_ms", BigInteger, nullable=False),
    )
    op.create_index("claims_created", "claims", ["created_ms"])


def _create_generations() -> None:
    op.create_table(
        "generations",
        Column("stream", String, primary_key=True),
        Column("caller", String, nullable=False),
        Column("key_id", String),
        Column("parent", String),
        Column("model", String, nullable=False),
        Column("answered", String),
        Column("dialect", String, nullable=False),
        Column("outcome", String, nullable=False),
        Column("error", String),
        Column("created_ms", BigInteger, nullable=False),
        Column("first_ms", BigInteger),
        Column("total_ms", BigInteger),
        Column("input_tokens", BigInteger, nullable=False),
        Column("output_tokens", BigInteger, nullable=False),
        Column("cached_tokens", BigInteger, nullable=False),
        Column("reasoning_tokens", BigInteger, nullable=False),
        Column("estimated", Boolean, nullable=False),
        Column("attempts", JSON, nullable=False),
    )
    op.create_index("generations_caller", "generations", ["caller", "created_ms"])
    op.create_index("generations_created", "generations", ["created_ms"])
