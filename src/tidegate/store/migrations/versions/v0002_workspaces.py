"""Workspaces: their documents, passages, threads, chats and users."""

from __future__ import annotations

from alembic import op
from sqlalchemy import JSON, BigInteger, Boolean, Column, Integer, LargeBinary, String

revision = "0002"
down_revision = "0001"

NUMBER = BigInteger().with_variant(Integer, "sqlite")


def upgrade() -> None:
    """See :mod:`tidegate.store.schema` for what each is for."""
    _create_workspaces()
    _create_documents()
    _create_passages()
    _create_users()


def _create_workspaces() -> None:
    op.create_table(
        "workspaces",
        Column("id", NUMBER, primary_key=True),
        Column("owner", String, nullable=False),
        Column("slug", String, nullable=False),
        Column("name", String, nullable=False),
        Column("created_ms", BigInteger, nullable=False),
        Column("updated_ms", BigInteger, nullable=False),
        Column("settings", JSON, nullable=False),
        Column("embedder", String),
        sqlite_autoincrement=True,
    )
    op.create_index("workspaces_slug", "workspaces", ["owner", "slug"], unique=True)
    op.create_table(
        "threads",
        Column("id", NUMBER, primary_key=True),
        Column("workspace", BigInteger, nullable=False),
        Column("slug", String, nullable=False),
        Column("name", String, nullable=False),
        Column("user_id", BigInteger),
        Column("created_ms", BigInteger, nullable=False),
        Column("updated_ms", BigInteger, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("threads_slug", "threads", ["workspace", "slug"], unique=True)
    op.create_table(
        "chats",
        Column("id", NUMBER, primary_key=True),
        Column("workspace", BigInteger, nullable=False),
        Column("thread", BigInteger),
        Column("session", String),
        Column("embed", BigInteger),
        Column("user_id", BigInteger),
        Column("prompt", String, nullable=False),
        Column("response", LargeBinary, nullable=False),
        Column("include", Boolean, nullable=False),
        Column("created_ms", BigInteger, nullable=False),
        Column("feedback", Boolean),
        Column("stream", String),
        sqlite_autoincrement=True,
    )
    op.create_index("chats_workspace", "chats", ["workspace", "thread", "session", "id"])
    op.create_index("chats_stream", "chats", ["stream"], unique=True)
    op.create_index("chats_embed", "chats", ["embed", "session", "id"])


def _create_documents() -> None:
    op.create_table(
        "folders",
        Column("owner", String, primary_key=True),
        Column("name", String, primary_key=True),
        Column("created_ms", BigInteger, nullable=False),
    )
    op.create_table(
        "documents",
        Column("id", String, primary_key=True),
        Column("owner", String, nullable=False),
        Column("folder", String, nullable=False),
        Column("name", String, nullable=False),
        Column("file_name", String, nullable=False),
        Column("content_hash", String, nullable=False),
        Column("facts", JSON, nullable=False),
        Column("words", BigInteger, nullable=False),
        Column("tokens", BigInteger, nullable=False),
        Column("pages", LargeBinary, nullable=False),
        Column("created_ms", BigInteger, nullable=False),
    )
    op.create_index("documents_name", "documents", ["owner", "folder", "name"], unique=True)
    op.create_index("documents_hash", "documents", ["owner", "content_hash"])
    op.create_index("documents_file", "documents", ["owner", "folder", "file_name"])
    op.create_table(
        "placements",
        Column("id", NUMBER, primary_key=True),
        Column("workspace", BigInteger, nullable=False),
        Column("document", String, nullable=False),
        Column("pinned", Boolean, nullable=False),
        Column("watched", Boolean, nullable=False),
        Column("state", String, nullable=False),
        Column("error", String),
        Column("passages", BigInteger, nullable=False),
        Column("created_ms", BigInteger, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("placements_document", "placements", ["workspace", "document"], unique=True)
    op.create_index("placements_of", "placements", ["document"])
    op.create_index("placements_state", "placements", ["state"])


def _create_passages() -> None:
    op.create_table(
        "passages",
        Column("id", NUMBER, primary_key=True),
        Column("workspace", BigInteger, nullable=False),
        Column("document", String, nullable=False),
        Column("number", BigInteger, nullable=False),
        Column("page", BigInteger),
        Column("heading", String, nullable=False),
        Column("text", String, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("passages_document", "passages", ["workspace", "document", "number"])
    op.create_table(
        "vectors",
        Column("passage", BigInteger, primary_key=True, autoincrement=False),
        Column("embedder", String, primary_key=True),
        Column("workspace", BigInteger, nullable=False),
        Column("vector", LargeBinary, nullable=False),
    )
    op.create_index("vectors_workspace", "vectors", ["workspace", "embedder"])
    op.create_table(
        "vector_changes",
        Column("workspace", BigInteger, primary_key=True, autoincrement=False),
        Column("embedder", String, primary_key=True),
        Column("added", BigInteger, nullable=False),
        Column("removed", BigInteger, nullable=False),
    )


def _create_users() -> None:
    op.create_table(
        "embeds",
        Column("id", NUMBER, primary_key=True),
        Column("uuid", String, nullable=False),
        Column("workspace", BigInteger, nullable=False),
        Column("enabled", Boolean, nullable=False),
        Column("settings", JSON, nullable=False),
        Column("created_ms", BigInteger, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("embeds_uuid", "embeds", ["uuid"], unique=True)
    op.create_index("embeds_workspace", "embeds", ["workspace"])
    op.create_table(
        "users",
        Column("id", NUMBER, primary_key=True),
        Column("owner", String, nullable=False),
        Column("username", String, nullable=False),
        Column("password", String, nullable=False),
        Column("role", String, nullable=False),
        Column("suspended", Boolean, nullable=False),
        Column("facts", JSON, nullable=False),
        Column("created_ms", BigInteger, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("users_username", "users", ["owner", "username"], unique=True)
    op.create_table(
        "members",
        Column("workspace", BigInteger, primary_key=True, autoincrement=False),
        Column("user_id", BigInteger, primary_key=True, autoincrement=False),
    )
    op.create_table(
        "invites",
        Column("id", NUMBER, primary_key=True),
        Column("owner", String, nullable=False),
        Column("code", String, nullable=False),
        Column("status", String, nullable=False),
        Column("workspaces", JSON, nullable=False),
        Column("created_ms", BigInteger, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "preferences",
        Column("owner", String, primary_key=True),
        Column("name", String, primary_key=True),
        Column("value", JSON, nullable=False),
    )
