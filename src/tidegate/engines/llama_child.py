"""The child's program: serves one GGUF file with llama.cpp on a Unix socket, for as long as its parent lives.

Started by :class:`tidegate.engines.process.Engine` as ``python -m tidegate.engines.llama_child``; the two
talk as :mod:`tidegate.engines.handshake` says.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from tidegate.engines.completion import Call, Completions
from tidegate.engines.handshake import LARGEST_LINE, ChildAnswer, decode_options, encode_line
from tidegate.engines.llama_model import LoadFailed, load
from tidegate.engines.prompt_size import PromptLimit
from tidegate.engines.slot_gate import SlotGate
from tidegate.engines.unix_server import Connection, Request, UnixServer

_LONGEST_QUEUE: Final = 512
_SET_DEATH_SIGNAL: Final = 1  # PR_SET_PDEATHSIG


class Service:
    """The endpoints of one loaded model."""

    def __init__(self, name: str, llama: Any, gate: SlotGate, completions: Completions) -> None:
        self._name = name
        self._gate = gate
        self._completions = completions
        self._calls: dict[str, Call] = {
            "/v1/chat/completions": llama.handle_chat_completions,
            "/v1/completions": llama.handle_completions,
        }
        self._whole_calls: dict[str, Call] = {
            "/v1/embeddings": lambda body, answer: answer(llama.handle_embeddings(body)),
            "/v1/rerank": lambda body, answer: answer(llama.handle_rerank(body)),
        }

    def handle(self, connection: Connection, request: Request) -> None:
        """Answer one request on its connection's thread."""
        if request.method == "POST" and request.path in self._calls:
            self._completions.serve(self._calls[request.path], connection, request.body)
        elif request.method == "POST" and request.path in self._whole_calls:
            call = self._whole_calls[request.path]
            self._completions.serve(call, connection, request.body, whole=True)
        elif request.method == "GET" and request.path == "/health":
            connection.answer(200, self._health())
        elif request.method == "GET" and request.path == "/v1/models":
            model = {"id": self._name, "object": "model", "owned_by": "tidegate"}
            connection.answer(200, {"object": "list", "data": [model]})
        else:
            connection.answer_error(
                404, f"{request.method} {request.path} is not served here", "not_found_error"
            )

    def _health(self) -> dict[str, object]:
        return {
            "status": "ok",
            "slots": self._gate.slots,
            "running": self._gate.running,
            "queued": self._gate.queued,
            "silent_for": self._completions.silent_for,
        }


def main() -> None:
    """Load, say so, serve, and end when the parent closes standard input."""
    answers = _claim_standard_output()
    try:
        options = decode_options(sys.stdin.buffer.readline(LARGEST_LINE))
    except msgspec.DecodeError as error:
        sys.exit(f"this program is started by `tidegate serve`, not by hand ({error})")
    _die_with_parent()
    _prefer_being_killed()
    _tame_native_code()
    try:
        model = load(options)
    except LoadFailed as error:
        answers.write(encode_line(ChildAnswer(error=str(error))))
        answers.flush()
        os._exit(1)
    _settle_signals()  # again: llama.cpp installs handlers of its own
    gate = SlotGate(model.facts.slots, _LONGEST_QUEUE)
    completions = Completions(gate, PromptLimit(model.facts.context, model.file.longest_token))
    service = Service(options.name, model.llama, gate, completions)
    UnixServer(Path(options.socket), service.handle).start()
    answers.write(encode_line(ChildAnswer(ready=model.facts)))
    answers.flush()
    sys.stdin.buffer.read()
    # Other threads may be in the middle of requests; there is nothing to save, and no reason to wait.
    os._exit(0)


def _claim_standard_output() -> BinaryIO:
    """Keep standard output for the handshake alone: what native code prints there goes to the log."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answers


def _die_with_parent() -> None:
    """Have the kernel end this process with its parent, even in the middle of loading (Linux only).

    Elsewhere, and for a parent that was gone before this call, the end of standard input does it.
    """
    _settle_signals()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)


def _settle_signals() -> None:
    """Ctrl-C and a closing terminal are for the parent, which decides; its SIGTERM ends this at once."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _prefer_being_killed() -> None:
    """When memory runs out, let the kernel choose this process and not the gateway (Linux only)."""
    try:
        Path("/proc/self/oom_score_adj").write_text("500", "ascii")
    except OSError:
        pass


def _tame_native_code() -> None:
    """Set what the engine's libraries read from the environment when they are loaded."""
    os.environ["GGML_NO_BACKTRACE"] = "1"  # else an assertion starts a debugger
    # Threads wait for each other hundreds of times per token. By default they spin for milliseconds; as soon
    # as anything else wants their cores, that makes them up to twenty times slower. This short spin costs a
    # quiet machine about 4 %, measured with two threads on two cores.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")


if __name__ == "__main__":
    main()
