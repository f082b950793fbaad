"""Owns the forms that a single setting may take: durations, sizes, numbers, switches, addresses.

Every parser takes the text of one setting and returns its value, or raises ValueError with the words that
follow the name of the setting in an error: "must be …". No parser puts the text itself into those words,
because it may come from an environment variable and be a credential.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Final, TypeVar
from urllib.parse import urlsplit

Amount = TypeVar("Amount", int, float)

SECONDS: Final = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0}
BYTES: Final = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
}
# Twelve digits hold every sensible value, and keep int() and float() away from texts of a megabyte.
_QUANTITY: Final = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?) ?([a-z]{0,3})", re.IGNORECASE | re.ASCII)
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,12}", re.ASCII)
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,12}(?:\.[0-9]{1,9})?", re.ASCII)
_SWITCH: Final = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)  # RFC 9110, 5.6.2
_FRAMING: Final = frozenset(
    {"host", "connection", "proxy-connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
    | {"expect", "accept", "accept-encoding", "content-length", "content-type"}
)
_HOST: Final = re.compile(
    r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?\.?|[0-9A-Fa-f:.]+(?:%[\w.-]+)?", re.ASCII
)
_PROVIDER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#\s@*]+", re.IGNORECASE | re.ASCII)


def parse_duration(text: str) -> float:
    """Return seconds: ``250ms``, ``5s``, ``30m``, ``1h``, or a bare number of seconds."""
    match = _QUANTITY.fullmatch(text)
    unit = match[2].lower() if match else None
    if match is None or unit not in SECONDS:
        raise ValueError("must be a duration such as 250ms, 5s, 30m or 1h")
    return float(match[1]) * SECONDS[unit]


def parse_size(text: str) -> int:
    """Return bytes: ``32MiB``, ``64 KiB``, ``1.5GB``, or a bare number of bytes."""
    match = _QUANTITY.fullmatch(text)
    unit = match[2].lower() if match else None
    if match is None or unit not in BYTES:
        raise ValueError("must be a size such as 512KiB, 32MiB or a number of bytes")
    return round(float(match[1]) * BYTES[unit])


def parse_integer(text: str) -> int:
    """Return a whole number."""
    if not _INTEGER.fullmatch(text):
        raise ValueError("must be a whole number")
    return int(text)


def parse_number(text: str) -> float:
    """Return a number, with or without decimals."""
    if not _NUMBER.fullmatch(text):
        raise ValueError("must be a number")
    return float(text)


def parse_switch(text: str) -> bool:
    """Return the truth value of ``true``, ``yes``, ``on`` and their opposites."""
    value = _SWITCH.get(text.lower())
    if value is None:
        raise ValueError("must be true or false")
    return value


def ranged(parse: Callable[[str], Amount], low: Amount, high: Amount, words: str) -> Callable[[str], Amount]:
    """Return ``parse`` limited to ``low <= value <= high``; ``words`` say the range: "from 0 to 65535"."""

    def parse_within(text: str) -> Amount:
        value = parse(text)
        if not low <= value <= high:
            raise ValueError(f"must be {words}")
        return value

    return parse_within


def one_of(*options: str) -> Callable[[str], str]:
    """Return a parser that accepts only the given words."""

    def parse_option(text: str) -> str:
        if text not in options:
            raise ValueError("must be " + " or ".join(options))
        return text

    return parse_option


def parse_host(text: str) -> str:
    """Return an address to listen on, without the brackets that an IPv6 address may come in."""
    host = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if not _HOST.fullmatch(host):
        raise ValueError("must be a host name or an address such as 127.0.0.1, 0.0.0.0 or ::")
    return host


def is_loopback(host: str) -> bool:
    """Tell whether only programs of this machine can reach a server that listens on ``host``."""
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def parse_origin(text: str) -> str:
    """Return ``*`` or one web origin, as a browser sends it: ``https://app.example.com``."""
    if text != "*" and not _ORIGIN.fullmatch(text):
        raise ValueError('must be "*" or an origin such as https://app.example.com, without a path')
    return text if text == "*" else text.lower()


def parse_base_url(text: str) -> str:
    """Return the address that ``/chat/completions`` is appended to, without a slash at its end."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError("must be a URL such as http://127.0.0.1:8000/v1") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0 or not _plain_ascii(text):
        raise ValueError("must be a URL of ASCII characters such as http://127.0.0.1:8000/v1")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold a user or a password; give the credential as api_key")
    if parts.query or parts.fragment:
        raise ValueError("must end before the ?; give query parameters under query")
    base = text.rstrip("/#?")
    if base.endswith("/chat/completions"):
        raise ValueError("must end before /chat/completions, which is appended to it")
    return base


def parse_provider_name(text: str) -> str:
    """Return a provider's name: what stands before the first slash of a deployment."""
    if not _PROVIDER.fullmatch(text):
        raise ValueError("must be letters, digits, dots, dashes and underscores, at most 64 of them")
    return text


def parse_model_name(text: str) -> str:
    """Return a model's name: anything printable without spaces, slashes included."""
    if not _plain(text) or len(text) > 256:
        raise ValueError("must be a printable name without spaces, at most 256 characters long")
    return text


def parse_argument(text: str) -> str:
    """Return one word of a command: anything that can be handed to a program."""
    if not text or "\x00" in text:
        raise ValueError("must be a word of a command, and not empty")
    return text


def parse_module(text: str) -> str:
    """Return the name of a Python module."""
    if not all(part.isidentifier() for part in text.split(".")):
        raise ValueError("must be the name of a Python module such as my_package.agents")
    return text


def parse_credential(text: str) -> str:
    """Return a key that can stand in an HTTP header."""
    if not _plain_ascii(text):
        raise ValueError("must be a key of visible ASCII characters, without spaces")
    return text


def parse_header_name(text: str) -> str:
    """Return the name of an HTTP header in lower case; what frames or encodes a message is not settable."""
    name = text.lower()
    if not _TOKEN.fullmatch(text) or name in _FRAMING:
        raise ValueError("must be the name of a header that may be set")
    return name


def parse_header_value(text: str) -> str:
    """Return the value of an HTTP header: visible ASCII characters and inner spaces."""
    if not (text.isascii() and text.isprintable()) or text != text.strip():
        raise ValueError("must be visible ASCII characters")
    return text


def parse_auth_form(text: str) -> str:
    """Return how a credential is sent: ``bearer``, ``header:NAME`` or ``query:NAME``."""
    kind, _, name = text.partition(":")
    if text == "bearer":
        return text
    if kind == "header" and _TOKEN.fullmatch(name):
        return f"header:{parse_header_name(name)}"
    if kind == "query" and _TOKEN.fullmatch(name):
        return text
    raise ValueError("must be bearer, header:NAME or query:NAME")


def _plain_ascii(text: str) -> bool:
    return text.isascii() and _plain(text)


def _plain(text: str) -> bool:
    """Tell whether ``text`` is non-empty, printable and without any white space."""
    return bool(text) and text.isprintable() and not any(character.isspace() for character in text)
