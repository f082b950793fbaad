"""Sends documents to a gateway, a few at once, and tells of each what became of it."""

from __future__ import annotations

import hashlib
import http.client
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final, NamedTuple
from urllib.parse import quote
from uuid import uuid4

import msgspec

from tidegate.cli.connection import WORKSPACES, Server, failures_told, workspace_refusal
from tidegate.cli.terminal.lines import printable
from tidegate.cli.workspace.asking import PATIENT, members, send
from tidegate.cli.workspace.gathering import Wanted
from tidegate.errors import Broken, Rejected, SourceError, TimedOut

_AT_ONCE: Final = 4
_LOOK_SECONDS: Final = 0.2
_PIECE: Final = 256 * 1024
_LONGEST_ANSWER: Final = 16 * 1024 * 1024
_LONGEST_FOLDER: Final = 100
_KEY_REFUSED: Final = (401, 403)


class Sent(NamedTuple):
    """What became of one. ``document`` is its id; ``error`` a sentence, and ``known`` that its content was
    there already, so that nothing was sent."""

    wanted: Wanted
    document: str = ""
    error: str = ""
    known: bool = False


class Stopped(NamedTuple):
    """What makes it useless to go on: the gateway is gone, or does not take the key."""

    error: SourceError


def folder_of(slug: str) -> str:
    """The folder that a workspace's documents are put in. A file replaces the one of its name in a folder,
    and must not replace that of another workspace."""
    return slug[:_LONGEST_FOLDER]


class Uploads:
    """Documents on their way. ``there`` has the ids of what the workspace has already, by content hashes.

    Threads that are blocked in a socket end with the program: they hold nothing that is not repeated.
    """

    def __init__(self, server: Server, slug: str, wanted: Sequence[Wanted], there: dict[str, str]) -> None:
        self._server = server
        self._slug = slug
        self._there = there
        self._waiting: SimpleQueue[Wanted] = SimpleQueue()
        self._arrivals: SimpleQueue[Sent | Stopped] = SimpleQueue()
        for each in wanted:
            self._waiting.put(each)
        for _ in range(min(_AT_ONCE, len(wanted))):
            threading.Thread(target=self._work, name="upload", daemon=True).start()

    def next(self) -> Sent | Stopped:
        """What comes next. Ctrl-C is noticed while it is waited for, on every platform."""
        while True:
            try:
                return self._arrivals.get(timeout=_LOOK_SECONDS)
            except Empty:
                continue

    def _work(self) -> None:
        while True:
            try:
                wanted = self._waiting.get_nowait()
            except Empty:
                return
            self._arrivals.put(self._outcome(wanted))

    def _outcome(self, wanted: Wanted) -> Sent | Stopped:
        try:
            return self._sent(wanted)
        except (Rejected, TimedOut, Broken) as error:
            if error.status in _KEY_REFUSED:
                return Stopped(error)
            return Sent(wanted, error=error.message)
        except SourceError as error:
            return Stopped(error)
        except OSError as error:
            return Sent(wanted, error=f"it cannot be read: {(error.strerror or str(error)).lower()}")

    def _sent(self, wanted: Wanted) -> Sent:
        if wanted.path is None:
            fields = {"link": wanted.name, "addToWorkspaces": self._slug}
            told = send(self._server, "POST", "/document/upload-link", fields, timeout=PATIENT)
            return Sent(wanted, _document_in(told))
        known = self._there.get(_digest(wanted.path))
        if known is not None:
            return Sent(wanted, known, known=True)
        return Sent(wanted, _document_in(_upload(self._server, self._slug, wanted.name, wanted.path)))


def _document_in(told: Any) -> str:
    documents = members(told, "documents")
    return str(documents[0].get("id") or "") if documents else ""


def _digest(path: Path) -> str:
    """The SHA-256 by which a gateway knows a content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _upload(server: Server, slug: str, name: str, path: Path) -> Any:
    """Send a file in pieces, and put it into the workspace. Raises SourceError and OSError."""
    boundary = uuid4().hex
    head = _field(boundary, "addToWorkspaces", slug) + _file_head(boundary, name)
    tail = f"\r\n--{boundary}--\r\n".encode()
    size = path.stat().st_size
    headers = {
        **server.headers(),
        "Content-Type": f"multipart/form-data; boundary={boundary}",
        "Content-Length": f"{len(head) + size + len(tail)}",
    }
    target = server.target(f"{WORKSPACES}/document/upload/{quote(folder_of(slug), safe='')}")
    connection = server.connect(PATIENT)
    try:
        with path.open("rb") as file, failures_told(server):
            try:
                connection.request("POST", target, _pieces(head, file, size, tail), headers)
            except (BrokenPipeError, ConnectionResetError):
                if connection.sock is None:
                    raise
                # Refused before all of it was sent, and the refusal may be there to be read.
            response = connection.getresponse()
            body = response.read(_LONGEST_ANSWER)
    finally:
        connection.close()
    if response.status != http.client.OK:
        raise workspace_refusal(server, response.status, body)
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise workspace_refusal(server, response.status, body) from None


def _pieces(head: bytes, file: Any, size: int, tail: bytes) -> Iterator[bytes]:
    """The body. A file that shrinks meanwhile breaks it off; of one that grows the beginning is sent."""
    yield head
    left = size
    while left:
        piece = file.read(min(left, _PIECE))
        if not piece:
            raise Broken("it became shorter while it was sent; add it again")
        left -= len(piece)
        yield piece
    yield tail


def _field(boundary: str, name: str, value: str) -> bytes:
    return (f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n').encode()


def _file_head(boundary: str, name: str) -> bytes:
    quoted = printable(name).replace("\n", " ").replace("\t", " ").replace('"', "'")
    return (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{quoted}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode("utf-8", "replace")
