"""Owns the guard of an open gateway: requests are for this machine and, in a browser, from this machine.

Without it any web page could spend the user's money: by a cross-origin request, or by a host name of its own
that it points at 127.0.0.1 (DNS rebinding). Only the names count that no stranger can register or resolve
elsewhere: ``localhost`` and what ends in ``.localhost`` (RFC 6761, 6.3), 127.0.0.0/8 and ``[::1]``, each with
any port.
"""

from __future__ import annotations

import re
from typing import Final

_OCTET: Final = rb"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_HOST: Final = (
    rb"(?:127\." + _OCTET + rb"\." + _OCTET + rb"\." + _OCTET + rb"|\[::1\]"
    rb"|(?:[a-z0-9_](?:[a-z0-9_-]{0,62})\.)*localhost)(?::[0-9]{0,5})?"
)
_HOST_HEADER: Final = re.compile(_HOST, re.IGNORECASE)
_ORIGIN: Final = re.compile(rb"https?://" + _HOST, re.IGNORECASE)
_LONGEST: Final = 300  # a host name has at most 253 characters


def loopback_host(host_header: bytes) -> bool:
    """Tell whether a ``Host`` header names this machine itself."""
    return len(host_header) <= _LONGEST and _HOST_HEADER.fullmatch(host_header) is not None


def loopback_origin(origin: bytes) -> bool:
    """Tell whether an ``Origin`` header is a page served by this machine; ``null`` is not."""
    return len(origin) <= _LONGEST and _ORIGIN.fullmatch(origin) is not None
