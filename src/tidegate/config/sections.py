"""Owns reading what a configuration says about the gateway itself: server, auth, timeouts, demo."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, cast

from tidegate.config.document import Problems, Section, Value
from tidegate.config.secret import Secret
from tidegate.config.settings import Auth, Demo, Server, Streams, Timeouts
from tidegate.config.values import (
    is_loopback,
    one_of,
    parse_credential,
    parse_duration,
    parse_host,
    parse_integer,
    parse_number,
    parse_origin,
    parse_size,
    parse_switch,
    ranged,
)

API_KEYS: Final = "TIDEGATE_API_KEYS"
_DAY: Final = 86_400.0
_GIB: Final = 2**30
_ABOVE_ZERO: Final = 0.001  # the shortest wait that is one; zero would fail every request

_HOW_TO_MAKE_A_KEY: Final = (
    f"type export {API_KEYS}=$(openssl rand -hex 24), start again,"
    f" and give your clients the key that echo ${API_KEYS} prints, or make keys with tidegate keys create"
)

_PATIENCE: Final = ranged(parse_duration, _ABOVE_ZERO, _DAY, "a duration from 1ms to 24h")
_SPEED: Final = ranged(parse_number, 0.0, 1000.0, "a number of tokens per second from 0 to 1000")
_ARRIVAL: Final = ranged(parse_duration, _ABOVE_ZERO, 3600.0, "a duration from 1ms to 1h")


def read_server(section: Section, folder: Path) -> Server:
    """Return where to listen; relative GGUF paths of the file begin at ``folder``."""
    default = Server()
    server = Server(
        host=section.parsed("host", parse_host, default.host),
        port=section.parsed("port", ranged(parse_integer, 0, 65535, "a port from 0 to 65535"), default.port),
        workers=_read_workers(section),
        max_streams=section.parsed(
            "max_streams",
            ranged(parse_integer, 1, 1_000_000, "a number from 1 to 1000000"),
            default.max_streams,
        ),
        cors=_listed_or(section.listed("cors", parse_origin), default.cors),
        max_frame=section.parsed(
            "max_frame", ranged(parse_size, 1024, _GIB, "a size from 1KiB to 1GiB"), default.max_frame
        ),
        max_body=section.parsed(
            "max_body", ranged(parse_size, 1024, _GIB, "a size from 1KiB to 1GiB"), default.max_body
        ),
        # Clients and proxies give up on silence: headers within five seconds, then something every ten.
        header_hold=section.parsed(
            "header_hold", ranged(parse_duration, 0.0, 5.0, "a duration from 0s to 5s"), default.header_hold
        ),
        keep_alive=section.parsed(
            "keep_alive",
            ranged(parse_duration, 0.1, 10.0, "a duration from 100ms to 10s"),
            default.keep_alive,
        ),
        body_timeout=section.parsed("body_timeout", _ARRIVAL, default.body_timeout),
        idle_timeout=section.parsed("idle_timeout", _ARRIVAL, default.idle_timeout),
        shutdown=section.parsed(
            "shutdown", ranged(parse_duration, 0.0, 3600.0, "a duration from 0s to 1h"), default.shutdown
        ),
        access_log=section.parsed("access_log", parse_switch, default.access_log),
        gguf=_read_gguf_list(section, folder),
    )
    section.close()
    return server


def _read_workers(section: Section) -> int:
    workers = section.parsed(
        "workers", ranged(parse_integer, 1, 256, "a number of processes from 1 to 256"), 1
    )
    value = section.get("workers")
    if value is not None and workers > 1 and sys.platform == "win32":
        value.complain("above 1 needs sockets that Windows does not have; set it to 1")
    return workers


def _read_gguf_list(section: Section, folder: Path) -> tuple[Path, ...]:
    value = section.get("gguf")
    paths: dict[str, Path] = {}
    for member in value.items() if value else ():
        path = read_gguf(member, folder)
        if path is None:
            continue
        first = paths.setdefault(path.stem, path)
        if first != path:
            member.complain(
                f"is a second model {path.stem!r}, beside {first}; they are named after files, so rename one"
            )
    return tuple(paths.values())


def read_gguf(value: Value, folder: Path) -> Path | None:
    """Return the path of a model file that is there and is one; None, and a complaint, when it is not.

    A GGUF file begins with its own name (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md).
    """
    text = value.text()
    if text is None:
        return None
    try:
        path = Path(text).expanduser()
        path = path if path.is_absolute() else (folder if value.from_file else Path.cwd()) / path
        if not path.is_file():  # opening a pipe would wait for whoever writes to it
            value.complain(f"names no file: {value.shown} is not there")
            return None
        with path.open("rb") as file:
            magic = file.read(4)
    except (OSError, ValueError, RuntimeError) as error:  # unreadable; a NUL in the path; ~ of nobody
        reason = error.strerror if isinstance(error, OSError) else str(error)
        value.complain(f"cannot be read: {value.shown}: {reason}")
        return None
    if magic != b"GGUF":
        value.complain(f"is not a GGUF file: {value.shown} does not begin with the letters GGUF")
        return None
    return path


def read_timeouts(section: Section, default: Timeouts) -> Timeouts:
    """Return the timeouts, each from ``default`` where it is not set."""
    timeouts = Timeouts(
        connect=section.parsed("connect", _PATIENCE, default.connect),
        first_token=section.parsed("first_token", _PATIENCE, default.first_token),
        idle=section.parsed("idle", _PATIENCE, default.idle),
        total=section.parsed("total", _PATIENCE, default.total),
        min_speed=section.parsed("min_speed", _SPEED, default.min_speed),
    )
    section.close()
    return timeouts


def read_demo(section: Section) -> Demo:
    """Return the pace of the demo model."""
    delay = ranged(parse_duration, 0.0, 60.0, "a duration from 0ms to 1m")
    demo = Demo(delay=section.parsed("delay", delay, Demo().delay))
    section.close()
    return demo


def read_streams(section: Section, workers: int) -> Streams:
    """Return where streams are logged, how surely, and for how long."""
    kept = section.get("log")
    if kept is not None and workers > 1 and kept.text() == "memory":
        kept.complain("memory is of one process, and server.workers is above 1; set it to disk")
    default = Streams()
    log = section.parsed("log", one_of("memory", "disk"), "disk")
    durability = section.parsed("durability", one_of("process", "power"), "process")
    streams = Streams(
        log=cast(Literal["memory", "disk"], log),
        durability=cast(Literal["process", "power"], durability),
        retain=section.parsed(
            "retain", ranged(parse_duration, 0.0, 365 * _DAY, "a duration from 0s to 8760h"), default.retain
        ),
        most=section.parsed(
            "most", ranged(parse_size, 2**16, _GIB, "a size from 64KiB to 1GiB"), default.most
        ),
        disk=section.parsed("disk", ranged(parse_size, 2**20, 2**50, "a size, 1MiB or more"), default.disk),
    )
    section.close()
    return streams


def read_store(section: Section) -> str:
    """Return the database URL of the store. SQLite is what this version offers."""
    default = "sqlite:///tidegate.db"
    value = section.get("store")
    url = (value.text() if value else None) or default
    file = url.removeprefix("sqlite:///")
    if value is not None and (file in (url, "", ":memory:") or "?" in file):
        value.complain(f"must be a SQLite file such as {default}, not {value.shown}")
    return url


def read_auth(
    section: Section, environ: Mapping[str, str], server: Server, section_of_host: Section, problems: Problems
) -> Auth:
    """Return who may call: required as soon as there is a key, open on loopback only.

    What is wrong only if the store holds keys, or holds none, is left to whoever opens it: a public address
    without keys is refused where the address was given, in ``section_of_host``.
    """
    chosen = section.optional("keys", one_of("required", "open"))
    keys = [Secret(key) for key in section.listed("list", parse_credential, secret=True) or []]
    keys += _keys_of_environment(environ, problems)
    setting = section.get("keys")
    with_keys = without_keys = None
    if setting is not None and chosen == "open":
        if keys:
            setting.complain(
                f"is open although there are keys; remove it, or the keys in auth.list and {API_KEYS}"
            )
        with_keys = setting.complaint("is open although the store holds keys; remove it")
    if setting is not None and chosen == "required" and not keys:
        without_keys = setting.complaint(f"is required but there is no key; {_HOW_TO_MAKE_A_KEY}")
    host = section_of_host.get("host")
    public = not is_loopback(server.host)
    if host is not None and public and not keys and chosen != "required":
        first = "remove auth.keys and " if chosen == "open" else ""
        sentence = (
            f"{host.shown} can be reached from other machines, so callers need a key;"
            f" {first}{_HOW_TO_MAKE_A_KEY}, or listen on 127.0.0.1"
        )
        without_keys = host.complaint(sentence)
        if chosen == "open":
            host.complain(sentence)
    section.close()
    return Auth(
        keys="required" if keys or chosen == "required" or public else "open",
        list=tuple(dict.fromkeys(keys)),
        with_keys=with_keys,
        without_keys=without_keys,
    )


def _keys_of_environment(environ: Mapping[str, str], problems: Problems) -> list[Secret]:
    keys = [key.strip() for key in environ.get(API_KEYS, "").split(",")]
    try:
        return [Secret(parse_credential(key)) for key in keys if key]
    except ValueError:
        problems.add(API_KEYS, "every key must be visible ASCII characters, with commas between the keys")
        return []


def _listed_or(values: list[str] | None, default: tuple[str, ...]) -> tuple[str, ...]:
    return default if values is None else tuple(values)
