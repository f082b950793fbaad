"""Owns the settings as typed values: immutable, comparable, and silent about credentials.

Durations are seconds, sizes are bytes. How a setting is written and what it means: docs/configuration.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec

from tidegate.config.secret import Secret


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """Where the gateway listens, and what it spends on its callers."""

    host: str = "127.0.0.1"
    port: int = 7860
    workers: int = 1
    max_streams: int = 10_000
    cors: tuple[str, ...] = ("*",)
    max_body: int = 32 * 2**20
    max_frame: int = 64 * 2**20
    header_hold: float = 4.0
    keep_alive: float = 8.0
    body_timeout: float = 30.0
    idle_timeout: float = 75.0
    shutdown: float = 30.0
    access_log: bool = True
    gguf: tuple[Path, ...] = ()


class Auth(msgspec.Struct, frozen=True, kw_only=True):
    """Who may call, as far as it is known before the store is open, which may hold keys too.

    ``with_keys`` says what is wrong with the settings when it does, ``without_keys`` when it does not; None
    is nothing. ``keys`` is never open where another machine can reach the server.
    """

    keys: Literal["required", "open"] = "open"
    list: tuple[Secret, ...] = ()
    with_keys: str | None = None
    without_keys: str | None = None


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """One server that answers: what a preset says of its vendor, with the operator's own settings over it.

    ``auth`` is how the credential is sent: ``bearer``, ``header:NAME`` or ``query:NAME``. ``quirks`` are
    names from `tidegate.config.QUIRKS`, ``continues`` is one from `tidegate.config.CONTINUES`, with the path
    ``continues_path`` where it is another. ``preset``, ``title``, ``docs`` and ``local`` are the preset's.
    """

    name: str
    base_url: str
    dialect: str = "openai-chat"
    credential: Secret | None = None
    auth: str = "bearer"
    headers: dict[str, Secret] = {}
    query: dict[str, Secret] = {}
    quirks: frozenset[str] = frozenset()
    continues: str | None = None
    continues_path: str | None = None
    preset: str | None = None
    title: str | None = None
    docs: str | None = None
    local: bool = False

    def signed_headers(self) -> dict[str, str]:
        """Return the headers that every request to this provider carries, the credential revealed."""
        headers = {name: value.reveal() for name, value in self.headers.items()}
        if self.credential is not None:
            kind, _, name = self.auth.partition(":")
            if kind == "bearer":
                headers["authorization"] = f"Bearer {self.credential.reveal()}"
            elif kind == "header":
                headers[name] = self.credential.reveal()
        return headers

    def signed_query(self) -> dict[str, str]:
        """Return the query parameters that every request to this provider carries, credential revealed."""
        query = {name: value.reveal() for name, value in self.query.items()}
        kind, _, name = self.auth.partition(":")
        if self.credential is not None and kind == "query":
            query[name] = self.credential.reveal()
        return query


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """How long one attempt may take, and with ``total`` all of them; only real tokens are signs of life.

    ``min_speed`` is in tokens per second: a stream that is slower counts as broken. 0 is any speed.
    """

    connect: float = 5.0
    first_token: float = 60.0
    idle: float = 60.0
    total: float = 1800.0
    min_speed: float = 0.0


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """What happens before the first visible delta: attempts at each deployment, and the first pause."""

    attempts: int = 3
    backoff: float = 0.25


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one deployment takes at a time; None is no limit."""

    max_streams: int | None = None


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """A provider and the name that it knows the model by.

    Deployments with the same ``model``, or the same ``same_as``, are the same model.
    """

    provider: str
    model: str
    weight: float = 1.0
    same_as: str | None = None
    limits: Limits = Limits()


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A name that callers ask for: deployments in order, a GGUF file that a local engine serves, an agent,
    or a command, ``exec``, whose output is the answer.

    ``context``, ``slots`` and ``threads`` are the engine's own choice where they are None; ``preload`` loads
    it at start instead of at its first use. ``embedding`` and ``rerank`` load it for that instead of answers.
    ``options`` are an agent's, who may look at them; its ``on_disconnect`` is its own where that is None.
    """

    name: str
    use: tuple[Deployment, ...] = ()
    gguf: Path | None = None
    agent: str | None = None
    exec: tuple[str, ...] = ()
    options: dict[str, Any] = {}
    context: int | None = None
    slots: int | None = None
    threads: int | None = None
    preload: bool = False
    embedding: bool = False
    rerank: bool = False
    timeouts: Timeouts = Timeouts()
    retry: Retry = Retry()
    on_break: Literal["continue", "fail"] = "continue"
    on_disconnect: Literal["cancel", "drain", "detach"] | None = None
    same_as: str | None = None
    thinking_to_content: bool = False


class McpServer(msgspec.Struct, frozen=True, kw_only=True):
    """A server of tools: a program that is started, with ``command``, or one that is there already, at
    ``url``.

    ``allow`` are the tools that may be used, None being all. ``approve`` is ``changes`` (a person is asked
    before a tool is called that does not say it only reads), ``all``, ``none``, or names. ``timeout`` is for
    one call.
    """

    name: str
    command: tuple[str, ...] = ()
    env: dict[str, Secret] = {}
    directory: Path | None = None
    url: str | None = None
    headers: dict[str, Secret] = {}
    allow: tuple[str, ...] | None = None
    approve: tuple[str, ...] = ("changes",)
    timeout: float = 60.0


class Workspaces(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for all workspaces of documents.

    ``model`` answers where a workspace names none. Documents are searched by words alone without an
    ``embedder``; None is the first model that makes vectors. ``passage`` and ``overlap`` are in characters.
    ``private_links``: links into private networks may be fetched. ``multi_user``: AnythingLLM's users and
    invites are kept.
    """

    model: str | None = None
    embedder: str | None = None
    reranker: str | None = None
    passage: int = 1000
    overlap: int = 100
    private_links: bool = False
    multi_user: bool = False


class Demo(msgspec.Struct, frozen=True, kw_only=True):
    """The built-in demo model: the pause before each of its tokens."""

    delay: float = 0.025


class Streams(msgspec.Struct, frozen=True, kw_only=True):
    """Where stream logs are kept, and for how long after a stream has ended (``retain``, seconds).

    ``durability``: what was shown survives the process (``process``) or the machine as well (``power``).
    ``most`` is bytes of one stream, ``disk`` bytes of all that have ended.
    """

    log: Literal["memory", "disk"] = "disk"
    durability: Literal["process", "power"] = "process"
    retain: float = 3600.0
    most: int = 64 * 2**20
    disk: int = 4 * 2**30


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that an operator decides. Two are equal when nothing differs, credentials included."""

    server: Server = Server()
    auth: Auth = Auth()
    providers: dict[str, Provider] = {}
    models: dict[str, Model] = {}
    agents: tuple[str, ...] = ()
    """Modules that declare agents."""
    mcp: dict[str, McpServer] = {}
    workspaces: Workspaces = Workspaces()
    strict: tuple[str, ...] = ()
    """Systems whose very shape is given to their clients, also where that is a defect."""
    default_model: str | None = None
    timeouts: Timeouts = Timeouts()
    demo: Demo = Demo()
    streams: Streams = Streams()
    store: str = "sqlite:///tidegate.db"
    """A database URL; a relative path begins at the data folder."""
    source_path: str | None = None
    implicit_providers: bool = True
    """The file names no providers: those of the environment and of this machine are used."""
