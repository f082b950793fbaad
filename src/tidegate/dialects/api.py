"""What a dialect is: one wire format, served to callers and spoken to upstreams.

A dialect maps bytes to values and back. It never sees a socket, a clock or a setting.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal, Protocol, runtime_checkable

from tidegate.core.event import AnyEvent, Failure, Text, Thinking
from tidegate.core.request import Begun, Header, Prompt, Request
from tidegate.core.run import Skipped
from tidegate.core.source import Continues
from tidegate.core.steady import Frames, Marks, Steady
from tidegate.errors import SourceError

DIALECTS: Final = frozenset(
    {
        "openai-chat",
        "openai-completions",
        "openai-responses",
        "anthropic-messages",
        "gemini",
        "anythingllm",
        "events",
    }
)
"""Their names. An item whose kind is one of them is rendered in that dialect only."""

Lack = Literal["refuse", "drop"]
"""What becomes of a request that asks for what a wire format has no form for."""


class Renderer(Protocol):
    """Turns a stream's events into the bytes of a response body, the same bytes every time."""

    content_type: bytes

    def render(self, events: Sequence[AnyEvent]) -> bytes:
        """The bytes for ``events``; empty while there is nothing to show yet."""
        ...

    def keep_alive(self) -> bytes:
        """Bytes that change nothing for any client; empty when the form has none."""
        ...

    def frames(self, data: bytes) -> list[bytes]:
        """The frames that rendered bytes are made of; a client may have got some of them and not the rest."""
        ...

    def skip(self, item: Skipped) -> int:
        """Take an event or a run of them as rendered, and tell in how many frames it would have been.

        What is rendered afterwards is what it would have been. A whole answer shows all that was ever said,
        so it takes no runs (:func:`tidegate.core.run.coalesce`), only events.
        """
        ...


@runtime_checkable
class Templated(Protocol):
    """A renderer whose frames can be made of a template while one delta after another is alike."""

    def template(self, sample: Text | Thinking, marks: Marks) -> Frames | None:
        """How the frame of ``sample`` is made if it comes next.

        ``sample`` has the marks in the places of what differs; nothing is taken as
        rendered. None where not only what is marked would differ from frame to frame.
        """
        ...

    def passed(self, events: int, text: str) -> None:
        """Take as rendered so many deltas like the sample, which had this text in all, where it is wanted."""
        ...


Recogniser = Callable[[bytes], AnyEvent | None]
"""The event of a piece of a streamed answer that is one frame like those before it; None for any other."""


class Decoder(Protocol):
    """Turns one upstream answer into events."""

    known: Recogniser | None
    """The short way that nearly every delta goes, where one is known and nothing else has begun: whoever
    feeds tries it first, and feeds what it does not recognise.
    """

    def steady(self) -> Steady | None:
        """What the next frames are expected to be like; None where that is not known, or nobody made it."""
        ...

    def feed(self, data: bytes, events: list[AnyEvent]) -> None:
        """Append the events that a piece of a streamed answer completes.

        Raises a SourceError for an error that the upstream reports, or for what cannot be read; the events
        before it are in the list by then. When the answer is complete the last event is End, and whatever
        is fed after it is ignored.
        """
        ...

    def finish(self, events: list[AnyEvent]) -> None:
        """Append what is left when the body has ended; raises Broken when the answer had not."""
        ...

    def whole(self, body: bytes, events: list[AnyEvent]) -> None:
        """Append the events of an answer that came in one piece although a stream was asked for."""
        ...


class Shown(Protocol):
    """A wire format that streams can be shown in."""

    name: str

    def renderer(self, header: Header) -> Renderer:
        """A new renderer for a stream, or for a whole answer when ``header.stream`` is false."""
        ...

    def render_error(self, failure: Failure, request_id: str | None = None) -> bytes:
        """The body of an error response to the request of this id, which its headers name too."""
        ...


class Dialect(Shown, Protocol):
    """One wire format, both ways."""

    headers: Mapping[str, str]
    """Sent with every request to an upstream, where its settings do not say otherwise."""
    forwards: tuple[str, ...]
    """Names, in lower case, of callers' headers that an upstream of the same dialect is sent as well."""
    lacks: Mapping[str, Lack]
    """Features of a prompt (:func:`tidegate.dialects.translation.features`) that have no form here."""
    fields: Mapping[str, str]
    """What callers of this dialect know a feature as, where that is not its own name."""

    def target(self, model: str) -> str:
        """Path and query where an upstream is called, below its base URL."""
        ...

    def read_request(self, body: bytes, headers: Mapping[str, str] = ..., path: str = ...) -> Request:
        """The request in a caller's body. Raises InvalidRequest, naming the field.

        ``headers`` are those of :attr:`forwards` that the caller sent, ``path`` where it was sent to.
        """
        ...

    def read_prompt(self, request: Request) -> Prompt:
        """A request of this dialect in no dialect. Raises InvalidRequest for what makes no sense."""
        ...

    def write_request(self, request: Request, model: str, quirks: frozenset[str]) -> bytes:
        """The body to send to an upstream of this dialect, which knows the model as ``model``.

        ``request`` is of this dialect too; what it says is passed on as it came.
        """
        ...

    def write_prompt(self, prompt: Prompt, model: str, quirks: frozenset[str]) -> bytes:
        """The same for a request of another dialect. What is in :attr:`lacks` is left out."""
        ...

    def decoder(self, max_frame: int) -> Decoder:
        """A new decoder for one upstream answer; an event of more than ``max_frame`` bytes breaks it."""
        ...

    def read_error(self, status: int, body: bytes, retry_after: float | None) -> SourceError:
        """The error in an upstream's response of a status other than 200."""
        ...


@runtime_checkable
class Naming(Protocol):
    """A decoder that can name the tool inside of whose call an answer broke off."""

    @property
    def open_call(self) -> str | None:
        """The name of the tool whose arguments are coming; None when something else is."""
        ...


@runtime_checkable
class Particular(Protocol):
    """A dialect whose upstreams lack some features in some requests only, or for some of their models."""

    def conflicts(self, asked: Prompt, model: str) -> Sequence[str]:
        """The features of a prompt that are to be left out for this model; those that it lacks are named."""
        ...


@runtime_checkable
class Continuable(Protocol):
    """A dialect in which upstreams can be asked to go on with the beginning of an answer."""

    def continues(self, model: str, way: str | None) -> Continues | None:
        """How an upstream goes on with it that does so in a way of :data:`tidegate.config.CONTINUES`."""
        ...

    def write_begun(self, body: bytes, beginning: Begun, way: str | None) -> bytes:
        """A body that is about to be sent, as one that asks to go on: with less left of its limits."""
        ...
