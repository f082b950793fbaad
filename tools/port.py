"""Says before anything is installed or started that a port cannot be had, and which command works instead."""

from __future__ import annotations

import errno
import os
import shlex
import socket
from collections.abc import Mapping, Sequence

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 7860
TRIED_PORTS = 100
ANSWER_SECONDS = 0.5


def port_problem(arguments: Sequence[str], environment: Mapping[str, str], command: str) -> str | None:
    """Why `tidegate serve` could not listen with these arguments, with the `command` that could; else None.

    With a configuration file the address may stand in there, so only what the arguments name is looked at.
    """
    port_text = option(arguments, "--port")
    if port_text is None and (option(arguments, "--config") is not None or os.path.exists("tidegate.yaml")):
        return None
    host = option(arguments, "--host") or DEFAULT_HOST
    if port_text is not None and not is_port(port_text):
        better = respelled(environment, command, PORT=str(DEFAULT_PORT))
        return f"{port_text} is no port number: try `{better}`."
    port = int(port_text or DEFAULT_PORT)
    reason = refusal(host, port)
    if reason is None:
        return None
    if reason == errno.EADDRNOTAVAIL:
        better = respelled(environment, command, HOST=DEFAULT_HOST)
        return f"{host} is no address of this machine: try `{better}`."
    # Every port below 1024 is refused for the same want of rights, so the next one would not do.
    start = DEFAULT_PORT if reason == errno.EACCES else port + 1
    why = "may be used by root only" if reason == errno.EACCES else "is in use"
    return f"Port {port} {why}: try `{respelled(environment, command, PORT=str(free_port(host, start)))}`."


def option(arguments: Sequence[str], name: str) -> str | None:
    """The last value given for `--name value` or `--name=value`."""
    value = None
    for index, argument in enumerate(arguments):
        if argument == name and index + 1 < len(arguments):
            value = arguments[index + 1]
        elif argument.startswith(name + "="):
            value = argument[len(name) + 1 :]
    return value


def is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and int(text) <= 65535


def refusal(host: str, port: int) -> int | None:
    """The errno with which listening on host:port fails; None when it works. Port 0 always does."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError:
        return errno.EADDRNOTAVAIL
    for family, kind, protocol, _, address in found:
        with socket.socket(family, kind, protocol) as listener:
            if os.name != "nt":
                # As servers do: a connection in TIME_WAIT does not occupy a port.
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(address)
            except OSError as error:
                return error.errno
        if port and is_answered(family, address):
            return errno.EADDRINUSE
    return None


def is_answered(family: int, address: object) -> bool:
    """Whether a server accepts there, though binding worked: macOS lets a wildcard and an address coexist."""
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(ANSWER_SECONDS)
        return client.connect_ex(address) == 0  # type: ignore[arg-type]  # as getaddrinfo gave it


def free_port(host: str, start: int) -> int:
    """The first port from `start` on that can be had now, or any that the system gives."""
    for port in range(start, min(start + TRIED_PORTS, 65536)):
        if refusal(host, port) is None:
            return port
    with socket.socket() as listener:
        listener.bind((DEFAULT_HOST, 0))
        return int(listener.getsockname()[1])


def respelled(environment: Mapping[str, str], command: str, **changed: str) -> str:
    """The command line with the settings that were given, but for what is `changed`."""
    settings = {name: environment[name] for name in ("HOST", "PORT", "ARGS") if environment.get(name)}
    settings.update(changed)
    words = " ".join(f"{name}={shlex.quote(value)}" for name, value in settings.items())
    return f"{command} {words}" if command.startswith("make ") else f"{words} {command}"
