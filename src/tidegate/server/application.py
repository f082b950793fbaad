"""Everything that is not a generation, as an ASGI application: models, health, metrics, pages, preflights.

Paths are made canonical, authentication is on unless urls.py lists the path as public, and every error
is in the envelope of its path's dialect.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from tidegate.core.event import Failure, failure
from tidegate.dialects import load_dialect
from tidegate.errors import Forbidden, MethodNotAllowed, NotFound, TidegateError, UpgradeRequired
from tidegate.observe.metrics import Metrics
from tidegate.server import count_tokens, google, models, openapi, pages, urls
from tidegate.server.generate import Service
from tidegate.wire.ascii_json import ascii_json

_OTHER_METHODS = ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]
"""What a path of a generation may be asked for in vain; POST never gets here."""


class AsciiJSONResponse(JSONResponse):
    """JSON in ASCII, as every body of this server."""

    def render(self, content: Any) -> bytes:
        return ascii_json(content).encode("ascii")


def application(service: Service, metrics: Metrics) -> ASGIApp:
    """The application behind every path but the generations'."""

    of_google = google.Google(lambda: service.gateway.routes, load_dialect("gemini"))

    async def list_models(request: Request) -> Response:
        if google.is_asking(request):
            return await of_google.models(request)
        return AsciiJSONResponse(models.listing(service.gateway.routes))

    async def one_model(request: Request) -> Response:
        if google.is_asking(request):
            return await of_google.model(request)
        return AsciiJSONResponse(models.one(service.gateway.routes, request.path_params["model"]))

    async def count(request: Request) -> Response:
        asked = count_tokens.read(await request.body(), dict(request.headers))
        body, headers = await count_tokens.count(asked, service.gateway.routes.resolve(asked.model))
        return Response(body, headers=dict(headers), media_type="application/json")

    async def health(_: Request) -> Response:
        return AsciiJSONResponse({"status": "ok"})

    async def ready(_: Request) -> Response:
        if service.ready and not service.gateway.closing:
            return AsciiJSONResponse({"status": "ready", "streams": len(service.gateway.streams)})
        status = "shutting down" if service.gateway.closing else "starting"
        return AsciiJSONResponse({"status": status}, status_code=503)

    async def show_metrics(_: Request) -> Response:
        metrics.open_streams.set(len(service.gateway.streams))
        return Response(metrics.render(), media_type=metrics.content_type)

    async def show_openapi(_: Request) -> Response:
        return AsciiJSONResponse(openapi.document())

    reference = pages.docs()

    async def docs(_: Request) -> Response:
        return _page(reference)

    async def landing(request: Request) -> Response:
        url = pages.base_url(request.scope["scheme"], request.headers.get("host"), request.scope["server"])
        # The page is public: which models there are is told where the list itself needs no key.
        return _page(pages.landing(service.gateway.routes if service.keys.open else None, url))

    async def wrong_method(request: Request) -> Response:
        if request.headers.get("upgrade", "").lower() == "websocket":
            # Codex tries a WebSocket first; at 426 it goes on with POST at once, at 405 after seven tries.
            raise UpgradeRequired(f"{_asked(request)} speaks no WebSocket; POST to it instead")
        raise MethodNotAllowed(f"{_asked(request)} takes POST, not {request.method}")

    routes = [
        *of_google.routes(),
        Route(urls.MODELS, list_models),
        Route(urls.MODEL, one_model),
        Route(urls.COUNT_TOKENS, count, methods=["POST"]),
        Route(urls.HEALTH, health),
        Route(urls.READY, ready),
        Route(urls.METRICS, show_metrics),
        Route(urls.OPENAPI, show_openapi),
        Route(urls.DOCS, docs),
        Route(urls.LANDING, landing),
        *(Route(path, wrong_method, methods=_OTHER_METHODS) for path in urls.GENERATIONS),
    ]
    inner = Starlette(
        routes=routes,
        exception_handlers={TidegateError: _tell, HTTPException: _tell_http, Exception: _tell_defect},
    )
    return _Front(inner, service)


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
        scope["path"] = urls.canonical(scope["path"])
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        cors = self._service.cors
        origin = next((value for name, value in headers if name == b"origin"), None)
        if scope["method"] == "OPTIONS" and origin is not None:
            await self._preflight(origin, headers, send)
            return
        try:
            if scope["path"] not in urls.PUBLIC or self._service.keys.open:
                self._service.identify(headers, _google_query(scope))
        except TidegateError as error:
            response = _error_response(scope["path"], failure(error))
            await response(scope, receive, _with_headers(send, cors.headers(origin)))
            return
        await self._inner(scope, receive, _with_headers(send, cors.headers(origin)))

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
    query: bytes = scope["query_string"] if scope["path"].startswith("/v1beta") else b""
    return query.decode("latin-1")


def _page(html: str) -> Response:
    return HTMLResponse(html, headers={"content-security-policy": pages.CONTENT_SECURITY_POLICY})


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


def _error_response(path: str, reason: Failure, headers: dict[str, str] | None = None) -> Response:
    """An error in the envelope of the dialect that is served at a canonical path."""
    body = load_dialect(urls.dialect_of(path)).render_error(reason)
    return Response(body, reason.status, headers, media_type="application/json")


_HEADERS_OF: Final[Mapping[type, dict[str, str]]] = {
    MethodNotAllowed: {"allow": "POST, OPTIONS"},
    # RFC 9110 section 15.5.22 wants an Upgrade; after the attempt nothing more is read from the connection.
    UpgradeRequired: {"upgrade": "HTTP/1.1", "connection": "upgrade, close"},
}


async def _tell(request: Request, error: Exception) -> Response:
    assert isinstance(error, TidegateError)
    return _error_response(request.scope["path"], failure(error), _HEADERS_OF.get(type(error)))


async def _tell_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path: str = request.scope["path"]
    if error.status_code == 404:
        told = NotFound(f"there is nothing at {_asked(request)}; GET /docs lists what there is")
        return _error_response(path, failure(told))
    if error.status_code == 405:
        allow = (error.headers or {}).get("Allow", "GET")
        refused = MethodNotAllowed(f"{_asked(request)} takes {allow}, not {request.method}")
        return _error_response(path, failure(refused), {"allow": allow})
    return _error_response(path, failure(Forbidden(error.detail, status=error.status_code)))


async def _tell_defect(request: Request, error: Exception) -> Response:
    return _error_response(request.scope["path"], Failure("the gateway failed; its log says why"))
