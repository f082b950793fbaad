"""The path of a generation request, top to bottom: who asks, what, and who answers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from hashlib import sha256
from typing import cast, get_args

import msgspec

from tidegate.access import (
    Caller,
    KeyRing,
    key_in_query,
    keyless,
    loopback_host,
    loopback_origin,
    presented_key,
)
from tidegate.agents.questions import Questions
from tidegate.config import Config
from tidegate.core.clock import Ids
from tidegate.core.event import Failure, failure
from tidegate.core.request import OnBreak, OnDisconnect, Request
from tidegate.dialects import Dialect
from tidegate.dialects.openai_responses.request import BACKGROUND
from tidegate.errors import (
    Forbidden,
    Interrupted,
    InvalidRequest,
    Overloaded,
    StoreError,
    TidegateError,
    Unauthenticated,
)
from tidegate.generation import Gateway, Policies
from tidegate.observe.access_log import AccessLog
from tidegate.server.cors import Cors
from tidegate.server.exchange import Exchange
from tidegate.server.handover import Peer, Peers, pass_on
from tidegate.server.neighbours import Neighbours
from tidegate.server.respond import Pace, refuse, request_id, respond, wants_event_ids
from tidegate.server.responses import Keeping
from tidegate.server.responses.background import not_found, response_now, status_of, watch
from tidegate.server.responses.keeping import DIALECT as KEPT
from tidegate.server.streams import Resuming
from tidegate.server.streams.asked import read_asked, read_repeated
from tidegate.server.visitors import admit, is_visit
from tidegate.server.workspace_models import read_request
from tidegate.store.files import FileStore
from tidegate.store.responses import ResponseStore
from tidegate.streams.recovery import Recovered
from tidegate.streams.registry import Elsewhere, Readable
from tidegate.wire.ascii_json import ascii_json
from tidegate.workspaces.service import Workspaces

logger = logging.getLogger("tidegate")

INTERRUPTED = failure(Interrupted("the gateway was stopped before the answer ended"))
_REPLAYED = b"idempotent-replayed: true\r\n"
_ON_DISCONNECT = get_args(OnDisconnect)
_ON_BREAK = get_args(OnBreak)
_FALLBACK = ("any", "none")
_NO_HEADERS: Mapping[str, str] = {}


class _MayBeNew(Unauthenticated):
    """The key is not known here, yet looks as if the store may know it."""


class Service:
    """What requests are answered with. :meth:`apply` replaces the settings; running streams keep theirs."""

    def __init__(
        self,
        gateway: Gateway,
        dialects: Mapping[str, Dialect],
        access_log: AccessLog,
        ids: Ids,
        responses: ResponseStore,
        files: FileStore,
        questions: Questions,
        workspaces: Workspaces,
    ) -> None:
        self.files = files
        self.workspaces = workspaces
        self.questions = questions
        self.gateway = gateway
        self.responses = responses
        self._keeping = Keeping(responses)
        self.ready = False
        self.peers: Peers | None = None
        """The other worker processes, where there are some."""
        self.neighbours: Neighbours | None = None
        """The other gateways with this data folder, where streams are kept in it."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._resuming = Resuming(gateway.streams, questions, self.refuse, self.hand_over)
        self._dialects = dialects
        self._access_log = access_log
        self.ids = ids

    def apply(self, config: Config, keys: KeyRing) -> None:
        """Take settings, at start and at a reload."""
        self.keys = keys
        self.cors = Cors(config.server.cors, open_access=keys.open)
        self.max_body = config.server.max_body
        self.strict = "anythingllm" in config.strict
        self.body_timeout = config.server.body_timeout
        self.pace = Pace(config.server.header_hold, config.server.keep_alive)
        self.gateway.max_streams = config.server.max_streams
        self._access_log.enabled = config.server.access_log

    def generate(self, exchange: Exchange) -> None:
        """Answer ``POST /v1/chat/completions`` and its kin."""
        if exchange.dialect == "anythingllm" and is_visit(exchange.path):
            self._own(self._generate_for_visitor(exchange))
            return
        try:
            self._generate(exchange)
        except _MayBeNew:
            self._own(self._generate_later(exchange))

    def _own(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _generate_for_visitor(self, exchange: Exchange) -> None:
        """Answer who comes without a key to a workspace's embed."""
        origin = exchange.header(b"origin")
        headers = {} if origin is None else {"origin": origin.decode("latin-1")}
        name = self.ids()
        try:
            if self.keys.open:
                _check_loopback(exchange.headers)
            owner = await admit(self.workspaces, exchange.path, exchange.body, headers, name)
        except TidegateError as error:
            self.refuse(exchange, failure(error))
            return
        except Exception:  # as below
            logger.exception("a defect ended a request")
            self.refuse(exchange, Failure("the gateway failed; its log says why"))
            return
        if not exchange.disconnected:
            self._generate(exchange, visited=owner, name=name)
        if self.gateway.streams.get(name) is None:
            self.workspaces.chats.release(name)

    async def _generate_later(self, exchange: Exchange) -> None:
        """Answer a request whose key the store may know."""
        try:
            await self.keys.refresh()
        except StoreError as error:
            self.refuse(exchange, failure(error))
            return
        if not exchange.disconnected:
            self._generate(exchange, sure=True)

    def _generate(
        self, exchange: Exchange, *, sure: bool = False, visited: Caller | None = None, name: str = ""
    ) -> None:
        dialect = self._dialects[exchange.dialect]
        cors = self.cors.headers(exchange.header(b"origin"))
        try:
            query = exchange.path.partition("?")[2]
            caller = visited or self.identify(exchange.headers, query, sure=sure)  # access/
            headers = _forwarded(exchange, dialect) if dialect.forwards else _NO_HEADERS
            request = read_request(dialect, exchange.body, headers, exchange.path, strict=self.strict)
            policies = _policies(exchange, caller)
            if visited is not None:  # such keys are the owner's, and no visitor may take them
                policies = msgspec.structs.replace(policies, idempotency_key=None)
            if policies.idempotency_key is not None or (
                request.dialect == KEPT and self._keeping.must_look_up(request)
            ):
                self._own(self._answer_later(exchange, caller, request, policies))
                return
            stream = self.gateway.start(
                caller.id, request, policies, exchange.body, keyless(exchange.path), name
            )
        except _MayBeNew:
            raise
        except TidegateError as error:
            self._refuse(exchange, failure(error), dialect, cors)
            return
        except Exception:  # a defect must answer its own request, and leave the connection in order
            logger.exception("a defect ended a request")
            self._refuse(exchange, Failure("the gateway failed; its log says why"), dialect, cors)
            return
        self._respond(exchange, stream, caller, request, cors)

    def resume(self, exchange: Exchange) -> None:
        """Answer ``GET /v1/streams/{id}`` and its kin."""
        self._resuming.begin(exchange, self._resume(exchange))

    async def _resume(self, exchange: Exchange) -> None:
        caller = await self.identify_surely(exchange.headers)
        cors = self.cors.headers(exchange.header(b"origin"))
        asked = read_asked(exchange)
        if asked.response and await self.responses.is_deleted(caller.id, f"resp_{asked.stream}"):
            raise not_found(f"resp_{asked.stream}")
        await self._resuming.answer(exchange, caller, asked, self.pace, cors)

    def _respond(
        self, exchange: Exchange, stream: Readable, caller: Caller, request: Request, headers: bytes
    ) -> None:
        """Answer with a stream that has just been started."""
        dialect, streams = self._dialects[exchange.dialect], self.gateway.streams
        keep = self._keeping.keeper(caller.id, request) if request.dialect == KEPT else None  # responses/
        if request.form == BACKGROUND and keep is not None:
            watch(stream, streams, dialect, keep)
            if not request.stream:
                self._answer_with(exchange, stream, ascii_json(status_of(stream)).encode("ascii"), headers)
                return
            keep = None
        respond(exchange, stream, streams, dialect, self.pace, headers, keep)  # respond.py

    def _answer_with(self, exchange: Exchange, stream: Readable, body: bytes, headers: bytes) -> None:
        name = stream.header.id
        headers += b"tidegate-stream: %b\r\n" % name.encode() + request_id(exchange, name)
        exchange.respond(200, headers + b"content-type: application/json\r\n", body)

    async def take_over(self, recovered: Recovered) -> None:
        """Go on with a stream that a killed process had begun, or end it honestly."""
        stream, said = recovered
        header = stream.header
        try:
            dialect = self._dialects[header.dialect]
            request = read_request(dialect, header.body, header.headers, header.path, strict=False)
            if request.dialect == KEPT:
                request = await self._keeping.expanded(header.caller, request)
        except Exception as error:  # a defect must not keep the others from going on
            defect = not isinstance(error, TidegateError | KeyError)
            logger.error("stream %s cannot be gone on with: %s", header.id, error, exc_info=defect)
            stream.producer.end("interrupted", error=INTERRUPTED)
        else:
            self.gateway.take_over(stream, request, said)
            if request.dialect == KEPT and header.on_disconnect != "cancel":
                keep = self._keeping.keeper(header.caller, request)
                if keep is not None:
                    watch(stream, self.gateway.streams, dialect, keep)

    async def _answer_later(
        self, exchange: Exchange, caller: Caller, request: Request, policies: Policies
    ) -> None:
        """Answer a request that goes on from what is kept, or is answered once, however often it is sent."""
        dialect = self._dialects[exchange.dialect]
        cors = self.cors.headers(exchange.header(b"origin"))
        try:
            claimed = ""
            if policies.idempotency_key is not None:
                found = await self._claimed(exchange, caller, request, policies.idempotency_key)
                if not isinstance(found, str):
                    await self._repeat(exchange, found, request, cors + _REPLAYED)
                    return
                claimed = found
            if request.dialect == KEPT:
                request = await self._keeping.expanded(caller.id, request)
            path = keyless(exchange.path)
            try:
                stream = self.gateway.start(caller.id, request, policies, exchange.body, path, claimed)
            except TidegateError:
                if policies.idempotency_key is not None:  # it stands for nothing
                    archive = self.gateway.streams.archive
                    await archive.release(caller.id, policies.idempotency_key, claimed)
                raise
        except Elsewhere as elsewhere:
            await self.hand_over(exchange, elsewhere)
        except TidegateError as error:
            self._refuse(exchange, failure(error), dialect, cors)
        except Exception:  # as above
            logger.exception("a defect ended a request")
            self._refuse(exchange, Failure("the gateway failed; its log says why"), dialect, cors)
        else:
            self._respond(exchange, stream, caller, request, cors)
            _leave(exchange)

    async def _claimed(
        self, exchange: Exchange, caller: Caller, request: Request, key: str
    ) -> Readable | str:
        """What an idempotency key stands for, or the name of the stream that it is to stand for."""
        body_hash = sha256(request.dialect.encode() + exchange.path.encode())
        body_hash.update(exchange.body)
        return await self.gateway.claim(caller.id, key, body_hash.hexdigest(), caller.workspaces)

    async def _repeat(self, exchange: Exchange, found: Readable, request: Request, headers: bytes) -> None:
        """Answer with a stream that was started before."""
        if exchange.disconnected:  # it left while the key was looked up, and is no reader
            return
        streams, header = self.gateway.streams, found.header
        if request.form == BACKGROUND and not request.stream:
            name = f"resp_{header.id}"
            body = await response_now(self.responses, streams, header.caller, name)
            self._answer_with(exchange, found, body, headers)
            return
        dialect = self._dialects[exchange.dialect]
        asked = read_repeated(exchange, header.id) if request.stream else None
        if asked is None:
            respond(exchange, found, streams, dialect, self.pace, headers)
            return
        await self._resuming.go_on(exchange, found, dialect, header, asked, self.pace, headers)

    async def hand_over(self, exchange: Exchange, elsewhere: Elsewhere) -> None:
        """Have the process that has a stream answer this request for it."""
        assert exchange.connection is not None
        assert isinstance(elsewhere.holder, Peer)
        try:
            await pass_on(exchange.connection, elsewhere.holder)
        except Overloaded as error:
            self.refuse(exchange, failure(error))

    def refuse(self, exchange: Exchange, reason: Failure) -> None:
        """Answer a request that could not be read."""
        cors = self.cors.headers(exchange.header(b"origin"))
        self._refuse(exchange, reason, self._dialects[exchange.dialect], cors)

    async def identify_surely(self, headers: list[tuple[bytes, bytes]], query: str = "") -> Caller:
        """As :meth:`identify`; a key that is not known is looked for in the store. Raises StoreError too."""
        try:
            return self.identify(headers, query, sure=False)
        except _MayBeNew:
            await self.keys.refresh()
        return self.identify(headers, query)

    def identify(self, headers: list[tuple[bytes, bytes]], query: str = "", *, sure: bool = True) -> Caller:
        """The caller behind a key in headers or query. Raises Unauthenticated or Forbidden."""
        if self.keys.open:
            _check_loopback(headers)
        key = presented_key(headers) or (key_in_query(query) if query else None)
        caller = self.keys.identify(key)
        if caller is None:
            refusal = Unauthenticated if sure or not self.keys.may_be_new(key) else _MayBeNew
            raise refusal(
                "the API key is missing or wrong; send it as 'Authorization: Bearer KEY'",
                code="invalid_api_key",
            )
        return caller

    def _refuse(self, exchange: Exchange, reason: Failure, dialect: Dialect, headers: bytes) -> None:
        self._access_log.refused(exchange.dialect, reason)
        refuse(exchange, reason, dialect, headers + request_id(exchange, self.ids()))


def _leave(exchange: Exchange) -> None:
    """Tell a client that is gone already, since it left while something was looked up."""
    if exchange.disconnected and exchange.client is not None:
        exchange.client.gone()


def _check_loopback(headers: list[tuple[bytes, bytes]]) -> None:
    """While no key is asked for, only this machine is served: else any web page could spend the money."""
    for name, value in headers:
        if name == b"host" and not loopback_host(value):
            raise Forbidden(
                f"without keys only localhost is served, not {value.decode('latin-1')!r}; "
                "set TIDEGATE_API_KEYS or make a key with tidegate keys create to serve other hosts",
                code="host_not_allowed",
            )
        if name == b"origin" and not loopback_origin(value):
            raise Forbidden(
                f"without keys only pages of localhost may call, not {value.decode('latin-1')!r}; "
                "set TIDEGATE_API_KEYS or make a key with tidegate keys create to serve other origins",
                code="origin_not_allowed",
            )


def _forwarded(exchange: Exchange, dialect: Dialect) -> dict[str, str]:
    """The caller's headers that the dialect hands on."""
    values = ((name, exchange.header(name.encode())) for name in dialect.forwards)
    return {name: value.decode("latin-1") for name, value in values if value is not None}


def _policies(exchange: Exchange, caller: Caller) -> Policies:
    """What the request's headers decide about its stream, and its key."""
    key = exchange.header(b"idempotency-key")
    wants_event_ids(exchange)
    return Policies(
        cast("OnDisconnect | None", _chosen(exchange, "Tidegate-On-Disconnect", _ON_DISCONNECT))
        or caller.on_disconnect,
        key.decode("latin-1") if key else None,
        cast("OnBreak | None", _chosen(exchange, "Tidegate-On-Break", _ON_BREAK)),
        _chosen(exchange, "Tidegate-Fallback", _FALLBACK) != "none",
        caller.key,
        caller.models,
        caller.workspaces,
    )


def _chosen(exchange: Exchange, name: str, words: tuple[str, ...]) -> str | None:
    """The word in a header that takes one of some. Raises InvalidRequest."""
    asked = exchange.header(name.lower().encode())
    if asked is None:
        return None
    word = asked.decode("latin-1").strip().lower()
    if word not in words:
        raise InvalidRequest(f"the header {name} must be one of {', '.join(words)}, not {word!r}")
    return word
