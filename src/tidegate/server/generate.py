"""The path of a generation request, top to bottom: who asks, what, and who answers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from hashlib import sha256
from typing import cast, get_args

from tidegate.access import Caller, KeyRing, key_in_query, loopback_host, loopback_origin, presented_key
from tidegate.config import Config
from tidegate.core.clock import Ids
from tidegate.core.event import Failure, failure
from tidegate.core.request import OnDisconnect, Request
from tidegate.dialects import Dialect
from tidegate.errors import Forbidden, InvalidRequest, Overloaded, TidegateError, Unauthenticated
from tidegate.generation import Gateway, Policies
from tidegate.observe.access_log import AccessLog
from tidegate.server.cors import Cors
from tidegate.server.exchange import Exchange
from tidegate.server.handover import Peer, Peers
from tidegate.server.respond import Pace, refuse, request_id, respond
from tidegate.server.responses import Keeping
from tidegate.server.responses.keeping import DIALECT as KEPT
from tidegate.server.responses.keeping import Keep
from tidegate.store.files import FileStore
from tidegate.store.responses import ResponseStore
from tidegate.streams.registry import Elsewhere

logger = logging.getLogger("tidegate")

_REPLAYED = b"idempotent-replayed: true\r\n"
_POLICIES = get_args(OnDisconnect)
_NO_HEADERS: Mapping[str, str] = {}


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
    ) -> None:
        self.files = files
        self.gateway = gateway
        self.responses = responses
        self._keeping = Keeping(responses)
        self.ready = False
        self.peers: Peers | None = None
        """The other worker processes, where there are some."""
        self._dialects = dialects
        self._access_log = access_log
        self.ids = ids
        self._tasks: set[asyncio.Task[None]] = set()

    def apply(self, config: Config, keys: KeyRing) -> None:
        """Take settings, at start and at a reload."""
        self.keys = keys
        self.cors = Cors(config.server.cors, open_access=keys.open)
        self.max_body = config.server.max_body
        self.body_timeout = config.server.body_timeout
        self.pace = Pace(config.server.header_hold, config.server.keep_alive)
        self.gateway.max_streams = config.server.max_streams
        self._access_log.enabled = config.server.access_log

    def generate(self, exchange: Exchange) -> None:
        """Answer ``POST /v1/chat/completions`` and its kin."""
        dialect = self._dialects[exchange.dialect]
        cors = self.cors.headers(exchange.header(b"origin"))
        try:
            caller = self.identify(exchange.headers, exchange.path.partition("?")[2])  # access/
            headers = _forwarded(exchange, dialect) if dialect.forwards else _NO_HEADERS
            request = dialect.read_request(exchange.body, headers, exchange.path)  # dialects/
            keep = None
            if request.dialect == KEPT:
                request, keep = self._keeping.prepare(caller.id, request)  # responses/
            policies = _policies(exchange)
            if policies.idempotency_key is not None:
                self._once(exchange, caller, request, policies, keep)
                return
            stream = self.gateway.start(caller.id, request, policies, exchange.body, exchange.path)
        except TidegateError as error:
            self._refuse(exchange, failure(error), dialect, cors)
            return
        except Exception:  # a defect must answer its own request, and leave the connection in order
            logger.exception("a defect ended a request")
            self._refuse(exchange, Failure("the gateway failed; its log says why"), dialect, cors)
            return
        respond(exchange, stream, self.gateway.streams, dialect, self.pace, cors, keep)  # respond.py

    def _once(
        self, exchange: Exchange, caller: Caller, request: Request, policies: Policies, keep: Keep | None
    ) -> None:
        """Answer a request that must be answered once, however often it is sent."""
        task = asyncio.get_running_loop().create_task(
            self._claimed(exchange, caller, request, policies, keep)
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _claimed(
        self, exchange: Exchange, caller: Caller, request: Request, policies: Policies, keep: Keep | None
    ) -> None:
        dialect = self._dialects[exchange.dialect]
        cors = self.cors.headers(exchange.header(b"origin"))
        assert policies.idempotency_key is not None
        try:
            body_hash = sha256(request.dialect.encode() + exchange.path.encode() + exchange.body).hexdigest()
            found = await self.gateway.claim(caller.id, policies.idempotency_key, body_hash)
            if isinstance(found, str):
                found = self.gateway.start(caller.id, request, policies, exchange.body, exchange.path, found)
            else:
                cors += _REPLAYED
        except Elsewhere as elsewhere:
            await self.hand_over(exchange, elsewhere)
        except TidegateError as error:
            self._refuse(exchange, failure(error), dialect, cors)
        except Exception:  # as above
            logger.exception("a defect ended a request")
            self._refuse(exchange, Failure("the gateway failed; its log says why"), dialect, cors)
        else:
            respond(exchange, found, self.gateway.streams, dialect, self.pace, cors, keep)
            if exchange.disconnected and exchange.client is not None:
                exchange.client.gone()  # it left while this was looked up

    async def hand_over(self, exchange: Exchange, elsewhere: Elsewhere) -> None:
        """Have the worker process that has a stream answer this request for it."""
        assert self.peers is not None
        assert exchange.connection is not None
        assert isinstance(elsewhere.holder, Peer)
        try:
            await self.peers.pass_on(exchange.connection, elsewhere.holder)
        except Overloaded as error:
            self.refuse(exchange, failure(error))

    def refuse(self, exchange: Exchange, reason: Failure) -> None:
        """Answer a request that could not be read."""
        cors = self.cors.headers(exchange.header(b"origin"))
        self._refuse(exchange, reason, self._dialects[exchange.dialect], cors)

    def identify(self, headers: list[tuple[bytes, bytes]], query: str = "") -> Caller:
        """The caller behind a key in headers or query. Raises Unauthenticated or Forbidden."""
        if self.keys.open:
            _check_loopback(headers)
        caller = self.keys.identify(presented_key(headers) or (key_in_query(query) if query else None))
        if caller is None:
            raise Unauthenticated(
                "the API key is missing or wrong; send it as 'Authorization: Bearer KEY'",
                code="invalid_api_key",
            )
        return caller

    def _refuse(self, exchange: Exchange, reason: Failure, dialect: Dialect, headers: bytes) -> None:
        self._access_log.refused(exchange.dialect, reason)
        refuse(exchange, reason, dialect, headers + request_id(exchange, self.ids()))


def _check_loopback(headers: list[tuple[bytes, bytes]]) -> None:
    """While no key is asked for, only this machine is served: else any web page could spend the money."""
    for name, value in headers:
        if name == b"host" and not loopback_host(value):
            raise Forbidden(
                f"without keys only localhost is served, not {value.decode('latin-1')!r}; "
                "set TIDEGATE_API_KEYS to serve other hosts",
                code="host_not_allowed",
            )
        if name == b"origin" and not loopback_origin(value):
            raise Forbidden(
                f"without keys only pages of localhost may call, not {value.decode('latin-1')!r}; "
                "set TIDEGATE_API_KEYS to serve other origins",
                code="origin_not_allowed",
            )


def _forwarded(exchange: Exchange, dialect: Dialect) -> dict[str, str]:
    """The caller's headers that the dialect hands on."""
    values = ((name, exchange.header(name.encode())) for name in dialect.forwards)
    return {name: value.decode("latin-1") for name, value in values if value is not None}


def _policies(exchange: Exchange) -> Policies:
    """What the request's headers decide about its stream."""
    key = exchange.header(b"idempotency-key")
    asked = exchange.header(b"tidegate-on-disconnect")
    if asked is None:
        return Policies(idempotency_key=key.decode("latin-1") if key else None)
    policy = asked.decode("latin-1").strip().lower()
    if policy not in _POLICIES:
        raise InvalidRequest(
            f"the header Tidegate-On-Disconnect must be one of {', '.join(_POLICIES)}, not {policy!r}"
        )
    return Policies(cast(OnDisconnect, policy), key.decode("latin-1") if key else None)
