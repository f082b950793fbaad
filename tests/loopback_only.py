"""Keeps the test process off every network but loopback: reaching for anything else fails at once.

It covers what runs inside the process; a program that a test starts is on its own.
"""

from __future__ import annotations

import functools
import ipaddress
import socket
import sys
from collections.abc import Callable
from types import MappingProxyType

import uvloop

LOCAL_NAMES = frozenset({"", "localhost", "ip6-localhost", "ip6-loopback", socket.gethostname().lower()})
INTERNET = frozenset({socket.AF_INET, socket.AF_INET6})
# Which argument of uvloop's methods says where to: its position after `self`, and its name.
UVLOOP_METHODS = MappingProxyType(
    {
        "create_connection": (1, "host"),
        "create_datagram_endpoint": (2, "remote_addr"),
        "getaddrinfo": (0, "host"),
        "sock_connect": (1, "address"),
        "sock_sendto": (2, "address"),
    }
)


class NetworkRefused(Exception):
    """A test reached for another machine; no OSError, which the code under test might handle."""


def refuse_other_machines() -> None:
    """Guard this process from now on; it cannot be undone.

    An audit hook sees the socket calls of the standard library, however they were imported. uvloop makes its
    own through libuv, unseen, so its entry points are wrapped.
    """
    sys.addaudithook(_judge)
    for name, (position, keyword) in UVLOOP_METHODS.items():
        setattr(uvloop.Loop, name, _guarded(getattr(uvloop.Loop, name), position, keyword))


def is_allowed(target: object) -> bool:
    """Whether a test may reach `target`: a host, or a socket address as connect() takes it."""
    host = target[0] if isinstance(target, tuple) and target else target
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    # Nothing means this machine, a path a Unix socket, a number a family that is no network.
    if not isinstance(host, str) or "/" in host:
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        name = host.lower().rstrip(".")
        return name in LOCAL_NAMES or name.endswith(".localhost")
    # The unspecified address is what a wildcard bind looks up; connecting to it reaches this machine.
    return address.is_loopback or address.is_unspecified


def is_address(host: object) -> bool:
    """Whether it stands in digits already, so that looking it up asks nobody."""
    try:
        ipaddress.ip_address(str(host).partition("%")[0])
    except ValueError:
        return False
    return True


def _judge(event: str, arguments: tuple[object, ...]) -> None:
    if event in {"socket.connect", "socket.sendto", "socket.sendmsg"}:
        connection, target = arguments[:2]
        if isinstance(connection, socket.SocketType) and connection.family in INTERNET:
            if not is_allowed(target):
                # Most callers close it after an OSError only; left open it would fail some later test.
                connection.close()
            _check(target)
    elif event in {"socket.getaddrinfo", "socket.gethostbyname"} and not is_address(arguments[0]):
        _check(arguments[0])


def _check(target: object) -> None:
    if not is_allowed(target):
        raise NetworkRefused(f"a test reached for {target}: give it a server on 127.0.0.1 instead")


def _guarded(method: Callable[..., object], position: int, keyword: str) -> Callable[..., object]:
    @functools.wraps(method)
    def guarded(loop: object, *arguments: object, **named: object) -> object:
        _check(arguments[position] if len(arguments) > position else named.get(keyword))
        return method(loop, *arguments, **named)

    return guarded
