"""The address that a page tells its reader to use."""

from __future__ import annotations

import re

_HOST = re.compile(r"(?:[a-z0-9_.-]{1,253}|\[[0-9a-f:.]{2,45}\])(?::[0-9]{1,5})?", re.IGNORECASE)


def base_url(scheme: str, host: str | None, server: tuple[str, int | None] | None) -> str:
    """The address that a request was sent to, without a path.

    ``host`` is the Host header: what it holds ends in lines that people paste into a shell, so only a host
    and port are taken from it. ``server`` is where the request arrived, for want of better.
    """
    if host is not None and _HOST.fullmatch(host):
        return f"{scheme}://{host}"
    name, port = server or ("127.0.0.1", None)
    shown = f"[{name}]" if ":" in name else name
    return f"{scheme}://{shown}" + (f":{port}" if port else "")
