"""What a caller asked for, and what is fixed about the stream that answers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from hashlib import sha256
from typing import Any, Literal

from msgspec import Raw, Struct

from tidegate.core.event import AnyEvent
from tidegate.core.message import Message
from tidegate.core.tool import HostedTool, ToolChoice, ToolDefinition

OnDisconnect = Literal["cancel", "drain", "detach"]
OnBreak = Literal["continue", "fail"]


class Reasoning(Struct, frozen=True, omit_defaults=True):
    """How much a model is to think before it answers.

    ``effort`` is a word such as low, medium or high, ``budget`` a number of tokens, ``enabled`` whether to
    think at all where only that was said, ``summary`` what to tell of it.
    """

    effort: str | None = None
    budget: int | None = None
    enabled: bool | None = None
    summary: str | None = None


class OutputFormat(Struct, frozen=True, omit_defaults=True):
    """The form that the answer is to have: any JSON object, or one that fits ``schema``."""

    kind: Literal["json_object", "json_schema"]
    schema: Mapping[str, Any] | None = None
    name: str | None = None
    description: str | None = None
    strict: bool | None = None


class Prompt(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A request in no dialect: what every upstream is asked that does not speak the caller's.

    None and empty mean that nothing was said. ``extra`` holds top-level fields that have no form here.
    """

    messages: tuple[Message, ...]
    tools: tuple[ToolDefinition | HostedTool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tools: bool | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: Mapping[str, Any] | None = None
    logprobs: bool = False
    top_logprobs: int | None = None
    choices: int = 1
    reasoning: Reasoning | None = None
    output: OutputFormat | None = None
    verbosity: str | None = None
    user: str | None = None
    metadata: Mapping[str, Any] | None = None
    service_tier: str | None = None
    extra: Mapping[str, Any] | None = None


class Begun(Struct, frozen=True):
    """The beginning of an answer that is to be gone on with.

    ``text`` does not end in white space; ``tokens`` is about how many the whole of what was shown cost.
    """

    text: str
    tokens: int


class Request(Struct, frozen=True):
    """One generation asked for, in the caller's dialect.

    ``fields`` are the members of the JSON body, each still encoded: they pass through to an upstream of
    the same dialect byte for byte, as do ``headers``, those of the caller's that the dialect hands on. The
    rest is what the gateway itself must know. ``reasoning`` was asked for beside the body, and wins.
    ``form`` is the form of the answer, in a word of the dialect's, where it has several. ``on_break`` and
    whether there may be a ``fallback`` to others were asked beside the body; ``begun`` is ours: what the
    answer is to go on with. So is ``shown``: the events of this answer that a process which died had shown.
    """

    dialect: str
    model: str | None
    fields: Mapping[str, Raw]
    stream: bool = False
    include_usage: bool = False
    choices: int = 1
    headers: Mapping[str, str] = {}
    fallback_models: tuple[str, ...] = ()
    reasoning: Reasoning | None = None
    form: str = ""
    thinking_to_content: bool | None = None
    on_break: OnBreak | None = None
    fallback: bool = True
    begun: Begun | None = None
    shown: Sequence[AnyEvent] | None = None


class Header(Struct, frozen=True, omit_defaults=True):
    """The immutable head of a stream, fixed before its first event. Renderers know nothing else.

    ``id`` is 128 random bits in hexadecimal; ``created`` Unix time in seconds. ``form`` is that of
    :class:`Request`. ``thinking_to_content``: thinking is shown as part of the text. ``path`` and ``headers``
    are what the request was read from beside its body. ``keep``: the stream can be read after its end.
    ``key`` is the id of the virtual key that was used, where it is one of the store's; ``models`` and
    ``workspaces`` are those that it is for, None being all. ``parent`` is the stream whose agent or
    workspace asked for this.
    """

    id: str
    caller: str
    dialect: str
    model: str
    created: int
    stream: bool = True
    include_usage: bool = False
    on_disconnect: OnDisconnect = "cancel"
    body: bytes = b""
    idempotency_key: str | None = None
    renderer: int = 1
    form: str = ""
    thinking_to_content: bool = False
    path: str = ""
    headers: Mapping[str, str] = {}
    keep: bool = True
    on_break: OnBreak | None = None
    """What the request itself says; else the route's holds."""
    fallback: bool = True
    key: str | None = None
    models: tuple[str, ...] | None = None
    workspaces: tuple[str, ...] | None = None
    parent: str | None = None
    depth: int = 0
    """How many streams this one is within."""

    def is_within(self, workspaces: Collection[str] | None) -> bool:
        """Whether a key that is for these workspaces alone may know of the stream; None is a key for all.

        It may know of what these workspaces were asked, and of what such a key has asked.
        """
        if workspaces is None:
            return True
        kind, slug, *_ = *self.model.split("/"), ""
        mine = kind == "workspace" and slug in workspaces
        return mine or (self.workspaces is not None and set(self.workspaces) <= set(workspaces))

    @property
    def body_hash(self) -> str:
        """The SHA-256 of the request body in hexadecimal, for whoever asks: few requests are compared."""
        return sha256(self.body).hexdigest()
