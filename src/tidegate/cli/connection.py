"""Finds the gateway that a command talks to, and asks it, with nothing but the standard library's client."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import click
import msgspec

from tidegate.cli.home import recorded_address
from tidegate.cli.program import program
from tidegate.client import server as client
from tidegate.errors import Broken, ConfigError, Rejected, SourceError, TimedOut, Unreachable

DEFAULT_URL: Final = "http://127.0.0.1:7860"

WORKSPACES: Final = "/api/v1"
"""Below this path is AnythingLLM's API, which has errors of its own form."""

_NO_KEY: Final = "No valid api key found."
"""What AnythingLLM says of a key that is missing or wrong."""

_SECONDS: Final = 10.0
_LONGEST_BODY: Final = 64 * 1024 * 1024
_Command = TypeVar("_Command", bound=Callable[..., object])


class Server(client.Server):
    """Where a gateway listens, without ``/v1``, and the key that it is sent."""

    __slots__ = ()

    def connect(self, timeout: float) -> http.client.HTTPConnection:
        """A connection that is made with its first request; ``timeout`` seconds for making it."""
        parts = urlsplit(self.url)
        if parts.scheme == "https":
            return http.client.HTTPSConnection(parts.hostname or "", parts.port or 443, timeout=timeout)
        return http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=timeout)


def server_options(command: _Command) -> _Command:
    """Add ``--url`` and ``--key``, which mean the same to every command that talks to a gateway."""
    key = click.option(
        "--key", metavar="KEY", help="Key of the gateway, if it wants one.  [env: TIDEGATE_API_KEY]"
    )
    url = click.option(
        "--url",
        metavar="URL",
        help="Address of the gateway; without it the one running on this machine.  [env: TIDEGATE_URL]",
    )
    return url(key(command))


def patience_option(command: _Command) -> _Command:
    """Add ``--patience``, for commands whose answer survives a lost connection."""
    option = click.option(
        "--patience",
        type=click.FloatRange(0),
        default=60.0,
        metavar="SECONDS",
        help="How long to look for a gateway whose connection was lost in mid-answer; default 60.",
    )
    return option(command)


def find_server(url: str | None, key: str | None, environ: Mapping[str, str]) -> Server:
    """The gateway to talk to: as given, else from the environment, else the one that recorded itself.

    Raises ConfigError for an address or a key that cannot be one.
    """
    address = url or environ.get("TIDEGATE_URL") or recorded_address(environ) or DEFAULT_URL
    listed = (each.strip() for each in environ.get("TIDEGATE_API_KEYS", "").split(","))
    secret = key or environ.get("TIDEGATE_API_KEY", "").strip() or next(filter(None, listed), None)
    if secret is not None and not (secret.isascii() and secret.isprintable() and " " not in secret):
        raise ConfigError("the key must be visible ASCII characters; check --key and TIDEGATE_API_KEY")
    return Server(client.normalised(address.strip()), secret)


def get(
    server: Server, path: str, timeout: float = _SECONDS, method: str = "GET", body: bytes | None = None
) -> tuple[int, bytes]:
    """Status and body of the answer to ``GET path``. Raises SourceError when there is none."""
    connection = server.connect(timeout)
    try:
        with failures_told(server):
            connection.request(method, server.target(path), body, server.headers())
            response = connection.getresponse()
            return response.status, response.read(_LONGEST_BODY)
    finally:
        connection.close()


def get_json(
    server: Server, path: str, timeout: float = _SECONDS, method: str = "GET", body: bytes | None = None
) -> Any:
    """The value in the answer to ``GET path``. Raises SourceError, in words for whoever typed the command."""
    status, told = get(server, path, timeout, method, body)
    if status not in (200, 202):
        raise (workspace_refusal if path.startswith(WORKSPACES) else refusal)(server, status, told)
    try:
        return msgspec.json.decode(told)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _stranger(server) from None


@contextmanager
def failures_told(server: Server) -> Iterator[None]:
    """Turn what fails on the network into a SourceError, with a sentence about this gateway."""
    try:
        yield
    except ConnectionRefusedError:
        raise Unreachable(_nobody(server)) from None
    except socket.gaierror:
        host = urlsplit(server.url).hostname
        raise Unreachable(_nobody(server, f"there is no machine called {host}")) from None
    except ssl.SSLCertVerificationError as error:
        raise Unreachable(
            f"{server.url} has a certificate that is not valid: {error.verify_message}"
        ) from None
    except ssl.SSLError:
        raise Unreachable(f"{server.url} does not speak TLS; try http:// instead of https://") from None
    except TimeoutError:
        raise TimedOut(f"{server.url} does not answer; is the address right, and the network up?") from None
    except (http.client.RemoteDisconnected, http.client.IncompleteRead, ConnectionError):
        raise broken_off() from None
    except http.client.HTTPException:
        raise _stranger(server) from None
    except OSError as error:
        raise Unreachable(_nobody(server, (error.strerror or str(error)).lower())) from None


def broken_off() -> SourceError:
    """The connection ended before the answer did."""
    return Broken("the connection to the gateway broke before the answer was complete")


def _nobody(server: Server, reason: str = "") -> str:
    because = f" ({reason})" if reason else ""
    return f"No gateway answers at {server.url}{because}; start one with: {program()} serve"


def _stranger(server: Server) -> SourceError:
    return Broken(f"{server.url} answers, but not like a Tidegate; give the right address with --url")


def refusal(server: Server, status: int, body: bytes) -> SourceError:
    """The error in an answer of a status other than 200, in the words of the gateway where they help."""
    if status == 401:
        wrong = "does not take this key; give the right one" if server.key else "wants a key; give it"
        return Rejected(
            f"{server.url} {wrong} with --key KEY, or export TIDEGATE_API_KEY=KEY",
            status=status,
            retryable=False,
        )
    try:
        error = msgspec.json.decode(body).get("error")
    except (msgspec.DecodeError, UnicodeDecodeError, AttributeError):
        return _stranger(server)
    if not isinstance(error, dict) or not isinstance(error.get("message"), str):
        return _stranger(server)
    code = error.get("code")
    return Rejected(error["message"], status=status, code=code if isinstance(code, str) else None)


def workspace_refusal(server: Server, status: int, body: bytes) -> SourceError:
    """As :func:`refusal`, for paths of AnythingLLM's API: there an error is told as ``{"error": "…"}``, as
    ``{"message": "…"}`` or as the bare phrase of its status, and a wrong key gets 403."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        phrase = http.client.responses.get(status, "")
        if phrase and body.strip() == phrase.encode():
            return Rejected(f"the gateway answers this with {status} {phrase}", status=status)
        return _stranger(server)
    told = (value.get("error"), value.get("message")) if isinstance(value, dict) else ()
    sentence = next((each for each in told if isinstance(each, str) and each), None)
    if sentence is None:
        return refusal(server, status, body)
    if status == 403 and sentence == _NO_KEY:
        return refusal(server, 401, body)
    return Rejected(sentence, status=status)
