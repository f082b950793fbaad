"""Owns what gives the official SDKs of OpenAI and Anthropic the same resilience, unmodified: their transport.

The HTTP library is the one that the SDK brings, ``httpx2`` or ``httpx``: nothing here imports either before
it is asked for. Requests that are no generations pass as they are, as do answers of other servers.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from tidegate.client.patience import Patience
from tidegate.client.transport.awaiting import AsyncResilientTransport
from tidegate.client.transport.blocking import ResilientTransport

__all__ = ["AsyncResilientTransport", "ResilientTransport", "resilient", "resilient_async"]


def resilient(library: Any = None, *, patience: Patience | None = None, **options: Any) -> Any:
    """A client of ``httpx2`` or ``httpx`` for an SDK's ``http_client=``; answers survive lost connections.

    ``library`` is the module that the SDK uses; without it ``httpx2`` where that is installed, which the
    newest SDKs use, else ``httpx``. ``options`` are those of the library's own client.
    """
    library = library or _installed()
    inner = options.pop("transport", None) or library.HTTPTransport(**_of_transport(options))
    return library.Client(transport=ResilientTransport(inner, library, patience), **_with_defaults(options))


def resilient_async(library: Any = None, *, patience: Patience | None = None, **options: Any) -> Any:
    """The same for the asynchronous clients of the SDKs."""
    library = library or _installed()
    inner = options.pop("transport", None) or library.AsyncHTTPTransport(**_of_transport(options))
    transport = AsyncResilientTransport(inner, library, patience)
    return library.AsyncClient(transport=transport, **_with_defaults(options))


def _installed() -> Any:
    for name in ("httpx2", "httpx"):
        try:
            return import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
    raise ModuleNotFoundError(
        "neither httpx2 nor httpx is installed; one comes with the SDKs: pip install openai", name="httpx2"
    )


def _of_transport(options: dict[str, Any]) -> dict[str, Any]:
    """The options that a client would give to the transport that it makes itself."""
    names = ("verify", "cert", "http1", "http2", "limits", "trust_env", "proxy")
    return {name: options[name] for name in names if name in options}


def _with_defaults(options: dict[str, Any]) -> dict[str, Any]:
    left = {
        name: value for name, value in options.items() if name not in ("verify", "cert", "proxy", "limits")
    }
    return {"follow_redirects": True, **left}  # as the SDKs' own clients do
