"""Runs requests through llama.cpp and writes each answer to its connection, while somebody listens.

llama.cpp hands out chunks that are JSON already; they are passed on as they come, in its own OpenAI shape.
Only a call that streams can be stopped, for only that calls back: a whole answer is computed to its end.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

from tidegate.engines.prompt_size import PromptLimit
from tidegate.engines.slot_gate import Admission, QueueFull, SlotGate
from tidegate.engines.unix_server import Connection, error_body

Callback = Callable[[bytes], bool]
Call = Callable[[bytes, Callback], object]

# As llama.cpp writes them, without blanks. Inside a string the quotes would be escaped.
_PROGRESS: Final = b'"prompt_progress":'
_FINISH: Final = b'"finish_reason":"'
_ERROR: Final = b'{"error":'
_TOO_LARGE: Final = b"is too large to process"
"""In the error for a text that does not fit into one batch, which llama.cpp blames on itself."""


class Completions:
    """Serves completions: waits for a slot, runs the call, stops it when the connection closes."""

    def __init__(
        self, gate: SlotGate, limit: PromptLimit, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._gate = gate
        self._limit = limit
        self._monotonic = monotonic
        self._calls: set[_Answer] = set()
        self._lock = threading.Lock()

    @property
    def silent_for(self) -> float:
        """Seconds since llama.cpp last gave a sign of life, 0 while it has no stream to work on."""
        with self._lock:
            since = [call.in_engine_since for call in self._calls if call.in_engine_since is not None]
        return max(0.0, self._monotonic() - max(since)) if since else 0.0

    def serve(self, call: Call, connection: Connection, body: bytes, *, whole: bool = False) -> None:
        """Answer one request; OSError when the peer goes away, which ends the computation as well.

        ``whole``: the call answers once and cannot stream.
        """
        request = _parsed(body)
        if isinstance(request, str):
            connection.answer_error(400, request)
            return
        if whole:
            request.pop("stream", None)
        if problem := self._limit.problem(request):
            connection.answer(400, problem)
            return
        try:
            admission = self._gate.enter(_slots_wanted(request), connection.is_closed)
        except QueueFull:
            message = "this engine has too many requests waiting"
            connection.answer_error(503, message, "overloaded_error", retry_after=5)
            return
        if admission is None:
            raise ConnectionAbortedError
        with admission:
            self._run(call, connection, request, admission)

    def _run(self, call: Call, connection: Connection, request: dict[str, Any], admission: Admission) -> None:
        answer = _Answer(connection, request, admission, self._monotonic)
        with self._lock:
            self._calls.add(answer)
        try:
            call(answer.body, answer)
        except ValueError as error:
            answer.fail(400, str(error), "invalid_request_error")
        except RuntimeError as error:
            # Before its first sign of life llama.cpp has only read the request, and raises this too for what
            # it cannot accept: an image without a vision model, a tool without a function.
            if answer.begun:
                answer.fail(500, str(error), "server_error")
            else:
                answer.fail(400, str(error), "invalid_request_error")
        finally:
            with self._lock:
                self._calls.discard(answer)
        answer.end()


class _Answer:
    """The callback of one call, and what it has sent so far."""

    def __init__(
        self,
        connection: Connection,
        request: dict[str, Any],
        admission: Admission,
        monotonic: Callable[[], float],
    ) -> None:
        self._connection = connection
        self._admission = admission
        self._monotonic = monotonic
        self._stream = bool(request.get("stream"))
        self._wants_progress = bool(request.get("return_progress"))
        self._unfinished = _slots_wanted(request)
        self._closed = False
        self._problem: Exception | None = None
        self.begun = False
        self.in_engine_since = monotonic() if self._stream else None
        # A slot of the caller's choice would wait inside llama.cpp, where it cannot be cancelled.
        request.pop("id_slot", None)
        if self._stream:
            request["return_progress"] = True
        self.body = msgspec.json.encode(request)

    def __call__(self, chunk: bytes) -> bool:
        """Take one chunk; True tells llama.cpp to stop."""
        self.begun = True
        self.in_engine_since = None  # while this writes, the engine is not the one to be waited for
        try:
            if self._stream and self._connection.is_closed():
                raise ConnectionAbortedError
            self._take(chunk)
        except Exception as error:  # what is raised into the engine disappears there, so end() raises it
            self._problem = error
            return True
        if self._stream:
            self.in_engine_since = self._monotonic()
        return False

    def _take(self, chunk: bytes) -> None:
        if chunk.startswith(_ERROR):
            code = 400 if _TOO_LARGE in chunk else msgspec.json.decode(chunk)["error"].get("code")
            self._send_error(code if isinstance(code, int) and 400 <= code <= 599 else 500, chunk)
        elif not self._stream:
            self._closed = True
            self._connection.answer(200, chunk)
        elif _PROGRESS not in chunk:
            self._admission.prompt_done()
            self._unfinished -= chunk.count(_FINISH)
            self._connection.send_event(chunk)
        elif self._wants_progress:
            self._connection.send_event(chunk)

    def _send_error(self, status: int, body: bytes) -> None:
        """End the answer with an error: as its status, or as its last event once a stream has begun."""
        if self._closed:
            return
        self._closed = True
        if self._connection.streaming:
            self._connection.send_event(body)
            self._connection.end_events()
        else:
            self._connection.answer(status, body)

    def fail(self, status: int, message: str, kind: str) -> None:
        """Report an error that did not come as a chunk."""
        self._send_error(status, msgspec.json.encode(error_body(message, kind)))

    def end(self) -> None:
        """Close the answer. Raises what went wrong in the callback: OSError if the peer left."""
        if self._problem is not None:
            raise self._problem
        if self._closed:
            return
        if self._unfinished > 0 or not self._connection.streaming:
            self.fail(500, "the engine stopped before the end of its answer", "server_error")
            return
        self._connection.send_event(b"[DONE]")
        self._connection.end_events()


def _parsed(body: bytes) -> dict[str, Any] | str:
    """The request, or the sentence that says what is wrong with it."""
    try:
        request = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        return f"the body is not valid JSON: {error}"
    return request if isinstance(request, dict) else "the body must be a JSON object"


def _slots_wanted(request: dict[str, Any]) -> int:
    """How many answers are computed, each in a slot of its own; a bad number is for llama.cpp to refuse."""
    choices = max((value for key in ("n", "n_cmpl") if isinstance(value := request.get(key), int)), default=1)
    prompts = request.get("prompt")
    if not isinstance(prompts, list) or not prompts or isinstance(prompts[0], int):  # numbers: one prompt
        return max(1, choices)
    return max(1, choices) * len(prompts)
