"""Everything that is not a generation, as an ASGI application: models, health, metrics, pages, preflights.

Paths are made canonical, authentication is on unless urls.py lists the path as public, and every error
is in the envelope of its path's dialect.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import cache, partial
from itertools import chain
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from tidegate.core.event import Failure, failure
from tidegate.dialects import load_dialect, status_of
from tidegate.errors import (
    Forbidden,
    MethodNotAllowed,
    NotFound,
    Overloaded,
    StoreError,
    TidegateError,
    UpgradeRequired,
)
from tidegate.observe.metrics import Metrics
from tidegate.observe.sum import add_up
from tidegate.routing.table import Route as AnyRoute
from tidegate.routing.table import Routes
from tidegate.server import anythingllm, count_tokens, google, models, openapi, pages, urls
from tidegate.server.anythingllm import paths, reach
from tidegate.server.calls import CallEndpoint
from tidegate.server.files import FileEndpoints
from tidegate.server.generate import Service
from tidegate.server.handover import Peer, pass_on
from tidegate.server.incoming import Gone
from tidegate.server.respond import is_request_id
from tidegate.server.responses import ResponseEndpoints
from tidegate.server.streams import StreamEndpoints
from tidegate.server.together import METRICS, listed_by_others, render_metrics, state
from tidegate.streams.registry import Elsewhere
from tidegate.wire.ascii_json import ascii_json

_OTHER_METHODS = ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]
"""What a path of a generation may be asked for in vain; POST never gets here."""
_IN_VAIN: Final = "POST alone"
"""The name of such routes."""


class AsciiJSONResponse(JSONResponse):
    """JSON in ASCII, as every body of this server."""

    def render(self, content: Any) -> bytes:
        return ascii_json(content).encode("ascii")


def application(service: Service, metrics: Metrics) -> ASGIApp:
    """The application behind every path but the generations'."""

    def served(request: Request) -> Routes:
        """The models that the caller's key is for."""
        return service.gateway.routes.within(request.scope["tidegate.caller"].models)

    of_google = google.Google(served, load_dialect("gemini"))

    async def list_models(request: Request) -> Response:
        if google.is_asking(request):
            return await of_google.models(request)
        routes = served(request)
        all_of_them = [*routes, *await _workspaces(service, request, routes)]
        if _speaks_anthropic(request.scope):
            return AsciiJSONResponse(models.anthropic_listing(all_of_them, request.query_params))
        return AsciiJSONResponse(models.listing(all_of_them, routes.default))

    async def one_model(request: Request) -> Response:
        if google.is_asking(request):
            return await of_google.model(request)
        one = models.anthropic_one if _speaks_anthropic(request.scope) else models.one
        return AsciiJSONResponse(one(served(request), request.path_params["model"]))

    async def count(request: Request) -> Response:
        asked = count_tokens.read(await request.body(), dict(request.headers))
        body, headers = await count_tokens.count(asked, served(request).resolve(asked.model))
        return Response(body, headers=dict(headers), media_type="application/json")

    async def health(_: Request) -> Response:
        return AsciiJSONResponse({"status": "ok"})

    async def ready(_: Request) -> Response:
        if service.ready and not service.gateway.closing:
            return AsciiJSONResponse({"status": "ready", **await state(service)})
        status = "shutting down" if service.gateway.closing else "starting"
        return AsciiJSONResponse({"status": status}, status_code=503)

    async def show_metrics(_: Request) -> Response:
        others = [] if service.peers is None else await service.peers.ask(METRICS)
        rendered = render_metrics(service, metrics)
        return Response(add_up([rendered, *others]) if others else rendered, media_type=metrics.content_type)

    async def wrong_method(request: Request) -> Response:
        if request.headers.get("upgrade", "").lower() == "websocket":
            # Codex tries a WebSocket first; at 426 it goes on with POST at once, at 405 after seven tries.
            raise UpgradeRequired(f"{_asked(request)} speaks no WebSocket; POST to it instead")
        raise MethodNotAllowed(f"{_asked(request)} takes POST, not {request.method}")

    routes = [
        *(Route(path, wrong_method, methods=_OTHER_METHODS, name=_IN_VAIN) for path in urls.GOOGLE_POSTS),
        *of_google.routes(),
        Route(urls.MODELS, list_models),
        Route(urls.MODEL, one_model),
        Route(urls.COUNT_TOKENS, count, methods=["POST"]),
        Route(urls.HEALTH, health),
        Route(urls.READY, ready),
        Route(urls.METRICS, show_metrics),
        *_routes_of_pages(service),
        *(
            Route(path, wrong_method, methods=_OTHER_METHODS, name=_IN_VAIN)
            for path in (*urls.GENERATIONS, *urls.CHAT_POSTS, urls.FILES_SPLIT)
        ),
        *_routes_of_what_is_kept(service),
        *(_call_route(service, *pair) for pair in {**urls.CALLS, **urls.CALLS_OF_WORKSPACES}.items()),
        *anythingllm.routes(service),
    ]
    inner = Starlette(
        routes=routes,
        exception_handlers={
            TidegateError: _tell,
            HTTPException: _tell_http,
            Elsewhere: partial(_hand_over, service),
            Gone: _tell_nobody,
            Exception: _tell_defect,
        },
    )
    return _Front(inner, service)


async def _workspaces(service: Service, request: Request, routes: Routes) -> list[AnyRoute]:
    """The caller's workspaces, each a model. They are left out while the store cannot be read."""
    try:
        found = await reach.all_of(service.workspaces, request.scope["tidegate.caller"])
        return [routes.resolve(f"workspace/{each.slug}") for each in found]
    except StoreError:
        return []


def _routes_of_pages(service: Service) -> list[Route]:
    async def show_openapi(_: Request) -> Response:
        return Response(await asyncio.to_thread(_openapi), media_type="application/json")

    async def docs(_: Request) -> Response:
        return _page(await asyncio.to_thread(pages.docs))

    async def landing(request: Request) -> Response:
        url = pages.base_url(request.scope["scheme"], request.headers.get("host"), request.scope["server"])
        # The page is public: which models there are is told where the list itself needs no key.
        return _page(pages.landing(service.gateway.routes if service.keys.open else None, url))

    return [
        Route(urls.OPENAPI, show_openapi),
        Route(urls.DOCS, docs),
        Route(paths.DOCS, docs),
        Route(urls.LANDING, landing),
    ]


def _routes_of_what_is_kept(service: Service) -> list[Route]:
    kept = ResponseEndpoints(service.responses, service.gateway.streams)
    streams = StreamEndpoints(service.gateway.streams, service.questions, partial(listed_by_others, service))
    files = FileEndpoints(service.files, service.gateway.clock, service.ids, lambda: service.max_body)
    return [
        Route(urls.STREAMS, streams.streams, methods=["GET", "DELETE"]),
        Route(urls.STREAM, streams.stream, methods=["GET", "DELETE"]),
        Route(urls.STREAM_INPUT, streams.input, methods=["POST"]),
        Route(urls.RESPONSE, kept.retrieve, methods=["GET", "DELETE"]),
        Route(urls.RESPONSE_CANCEL, kept.cancel, methods=["POST"]),
        Route(urls.RESPONSE_INPUT, kept.input_items, methods=["GET"]),
        Route(urls.FILES, files.files, methods=["GET", "POST"]),
        Route(urls.FILES_SPLIT, files.split, methods=["POST"]),
        Route(urls.FILE, files.file, methods=["GET", "DELETE"]),
        Route(urls.DOWNLOAD, files.download, methods=["GET"]),
        Route(urls.DOWNLOAD_BY_ID, files.download, methods=["GET"]),
        Route(urls.FILE_CONTENT, files.content, methods=["GET"]),
    ]


class _Front:
    """What happens to every request before it is routed."""

    def __init__(self, inner: ASGIApp, service: Service) -> None:
        self._inner = inner
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        scope["tidegate.path"] = scope["path"]
        scope["path"] = urls.routed(scope["path"], scope.get("raw_path", b"").decode("latin-1"))
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        cors = self._service.cors
        origin = next((value for name, value in headers if name == b"origin"), None)
        if scope["method"] == "OPTIONS" and origin is not None:
            await self._preflight(origin, headers, send)
            return
        request = _request_id(headers, self._service.ids())
        scope["tidegate.request"] = request.decode("ascii")
        lines = cors.headers(origin) + b"x-request-id: %b\r\n" % request
        try:
            public = scope["path"] in urls.PUBLIC or paths.is_public(scope["path"])
            if not public or self._service.keys.open:
                scope["tidegate.caller"] = await self._service.identify_surely(headers, _google_query(scope))
        except TidegateError as error:
            response = _error_response(scope, failure(error))
            await response(scope, receive, _with_headers(send, lines))
            return
        await self._inner(scope, receive, _with_headers(send, lines))

    async def _preflight(self, origin: bytes, headers: list[tuple[bytes, bytes]], send: Send) -> None:
        cors = self._service.cors
        asked = next((value for name, value in headers if name == b"access-control-request-headers"), None)
        allowed = cors.allows(origin)
        answer = cors.preflight(origin, asked) if allowed else []
        answer.append((b"content-length", b"0"))
        await send({"type": "http.response.start", "status": 204 if allowed else 403, "headers": answer})
        await send({"type": "http.response.body", "body": b""})


def _google_query(scope: Scope) -> str:
    """The query, which may hold a key on Google's paths only."""
    google = scope["path"].startswith(urls.GOOGLE_MODELS)
    query: bytes = scope["query_string"] if google else b""
    return query.decode("latin-1")


def _call_route(service: Service, path: str, upstream_path: str) -> Route:
    answer = CallEndpoint(service.gateway, service.ids, lambda: service.max_body, upstream_path)
    return Route(path, answer, methods=["POST"])


@cache
def _openapi() -> bytes:
    """The OpenAPI document, which takes too long to write while streams wait."""
    return ascii_json(openapi.document()).encode("ascii")


def _page(html: str) -> Response:
    return HTMLResponse(html, headers={"content-security-policy": pages.CONTENT_SECURITY_POLICY})


def _request_id(headers: list[tuple[bytes, bytes]], made: str) -> bytes:
    asked = next((value for name, value in headers if name == b"x-request-id"), b"")
    return asked if is_request_id(asked) else made.encode()


def _with_headers(send: Send, lines: bytes) -> Send:
    """``send`` with header lines added to the response."""
    if not lines:
        return send
    pairs = [tuple(line.split(b": ", 1)) for line in lines.split(b"\r\n") if line]

    async def sending(message: Any) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), *pairs]
        await send(message)

    return sending


def _asked(request: Request) -> str:
    """The path as the client wrote it."""
    path: str = request.scope["tidegate.path"]
    return path


def _speaks_anthropic(scope: Scope) -> bool:
    """Whether the client of a path that two SDKs ask is Anthropic's."""
    path: str = scope["path"]
    if path != urls.MODELS and not path.startswith(f"{urls.MODELS}/"):
        return False
    return any(name == models.ANTHROPIC_VERSION for name, _ in scope["headers"])


def _error_response(scope: Scope, reason: Failure, headers: dict[str, str] | None = None) -> Response:
    """An error in the envelope of the dialect that the client speaks."""
    told = dict(headers or {})
    if reason.retry_after is not None:
        told["retry-after"] = str(max(1, round(reason.retry_after)))
    name = "anthropic-messages" if _speaks_anthropic(scope) else urls.dialect_of(scope["path"])
    dialect = load_dialect(name)
    body = dialect.render_error(reason, scope.get("tidegate.request"))
    return Response(body, status_of(dialect, reason), told, media_type="application/json")


_HEADERS_OF: Final[Mapping[type, dict[str, str]]] = {
    MethodNotAllowed: {"allow": "POST, OPTIONS"},
    # RFC 9110 section 15.5.22 wants an Upgrade; after the attempt nothing more is read from the connection.
    UpgradeRequired: {"upgrade": "HTTP/1.1", "connection": "upgrade, close"},
}


async def _tell(request: Request, error: Exception) -> Response:
    assert isinstance(error, TidegateError)
    return _error_response(request.scope, failure(error), _HEADERS_OF.get(type(error)))


async def _hand_over(service: Service, request: Request, error: Exception) -> Response:
    """Let the process answer that has the stream; what is returned then goes nowhere."""
    assert isinstance(error, Elsewhere)
    assert isinstance(error.holder, Peer)
    try:
        body = request.scope.get("tidegate.body")
        await pass_on(request.scope["tidegate.connection"], error.holder, body)
    except Overloaded as refused:
        return _error_response(request.scope, failure(refused))
    return Response(status_code=204)


async def _tell_nobody(_: Request, __: Exception) -> Response:
    return Response(status_code=400)


async def _tell_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return _error_response(
            request.scope,
            failure(NotFound(f"there is nothing at {_asked(request)}; GET /docs lists what there is")),
        )
    if error.status_code == 405:
        allow = _allowed(request)
        told = MethodNotAllowed(f"{_asked(request)} takes {allow}, not {request.method}")
        return _error_response(request.scope, failure(told), {"allow": allow})
    return _error_response(request.scope, failure(Forbidden(error.detail, status=error.status_code)))


def _allowed(request: Request) -> str:
    """The methods of all routes of a path, of which one alone knows but its own."""
    routes: list[Route] = request.app.routes
    path = next(each.path for each in routes if each.matches(request.scope)[0] is not Match.NONE)
    of_path = (each for each in routes if each.path == path)
    methods = (["POST"] if each.name == _IN_VAIN else sorted(each.methods or ()) for each in of_path)
    return ", ".join(dict.fromkeys(chain.from_iterable(methods)))


async def _tell_defect(request: Request, error: Exception) -> Response:
    return _error_response(request.scope, Failure("the gateway failed; its log says why"))
