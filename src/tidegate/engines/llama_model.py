"""Loads a model with llama.cpp inside the child, and says in one sentence why it could not be loaded."""

from __future__ import annotations

import http.client
import secrets
import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from tidegate.engines.gguf import GgufFile, InvalidGguf, read_gguf
from tidegate.engines.handshake import ChildOptions, EngineFacts
from tidegate.engines.llama_log import reason_for_failed_load
from tidegate.engines.machine import NOT_INSTALLED, local_engine_problem, physical_memory, usable_cores
from tidegate.engines.prompt_batch import prompt_batch

_PROMPT_CACHE: Final = 1 << 30  # bytes of old conversations; llama.cpp's own default is 8 GiB
_LAST_LOG_LINE: Final = "exiting due to"
_LOG_PATIENCE: Final = 1.0  # seconds; llama.cpp writes its log from a thread of its own


class LoadFailed(Exception):
    """The model cannot be served; the message is the sentence for the user."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model in memory: llama.cpp's server object, the header of its file, and what the engine says."""

    llama: Any
    file: GgufFile
    facts: EngineFacts


def load(options: ChildOptions) -> LoadedModel:
    """Load the model, which may take minutes. Raises LoadFailed."""
    if problem := local_engine_problem():
        raise LoadFailed(problem)
    try:
        import xllamacpp  # noqa: PLC0415 - only now is it known that this processor can run it
    except ModuleNotFoundError:
        raise LoadFailed(NOT_INSTALLED) from None
    except ImportError as error:
        raise LoadFailed(f"the local engine cannot be loaded on this machine: {error}") from None
    try:
        model = read_gguf(options.model)
    except InvalidGguf as error:
        raise LoadFailed(str(error)) from None
    context = options.context or model.loaded_context
    _check_memory(model, context * options.slots)
    params = _parameters(xllamacpp, options, model, context)
    listener = Path(options.socket).with_name("llama.sock")
    key = secrets.token_hex(16)
    params.hostnames = [str(listener)]
    params.api_keys = [key]
    began = time.monotonic()
    try:
        llama = xllamacpp.Server(params)
        properties = _properties(listener, key)
    except RuntimeError as error:
        reason = _logged_reason(Path(options.log)) or str(error)
        raise LoadFailed(f"{options.model} cannot be loaded: {reason}") from None
    finally:
        # The engine insists on a listener of its own; with its name gone nobody can connect to it.
        listener.unlink(missing_ok=True)
    return LoadedModel(llama, model, _facts(properties, params, time.monotonic() - began))


def _parameters(xllamacpp: Any, options: ChildOptions, model: GgufFile, context: int) -> Any:
    threads = options.threads or usable_cores()
    on_gpu = options.gpu_layers != 0 and _has_gpu(xllamacpp)
    operations = model.prompt_operations(context)
    batch = options.batch or prompt_batch(operations, threads, on_gpu=on_gpu)
    params = xllamacpp.CommonParams()
    params.model.path = options.model
    params.model_alias = {options.name}
    params.n_parallel = options.slots
    params.n_ctx = context * options.slots
    params.n_batch = params.n_ubatch = max(batch, options.slots)  # each slot decodes one token of a batch
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    if options.gpu_layers is not None:
        params.n_gpu_layers = options.gpu_layers
    params.fit_params = on_gpu  # else it only loads the model twice
    params.cache_ram_mib = min(_PROMPT_CACHE, (physical_memory() or 0) // 8) >> 20
    if options.purpose != "generation":
        _set_pooling(xllamacpp, params, options, model)
        params.n_batch = params.n_ubatch = context  # a text must fit into one batch
    params.warmup = False
    params.verbosity = 1  # errors
    params.ui = False
    params.n_threads_http = 1
    params.sse_ping_interval = -1
    return params


def _set_pooling(xllamacpp: Any, params: Any, options: ChildOptions, model: GgufFile) -> None:
    """Have the model make one vector, or one score, of each text."""
    kinds = xllamacpp.llama_pooling_type
    params.embedding = True
    if options.purpose == "rerank":
        params.pooling_type = kinds.LLAMA_POOLING_TYPE_RANK
    elif not model.pooling:  # a model that was made for embeddings says how
        params.pooling_type = kinds.LLAMA_POOLING_TYPE_MEAN


def _has_gpu(xllamacpp: Any) -> bool:
    kinds = xllamacpp.ggml_backend_dev_type
    gpus = {int(kinds.GGML_BACKEND_DEVICE_TYPE_GPU), int(kinds.GGML_BACKEND_DEVICE_TYPE_IGPU)}
    return any(int(device["type"]) in gpus for device in xllamacpp.get_device_info())


def _check_memory(model: GgufFile, tokens: int) -> None:
    """Refuse what cannot work before llama.cpp spends a minute of swapping on it."""
    memory = physical_memory()
    needed = model.cache_bytes(tokens)
    if memory is not None and needed > memory:
        raise LoadFailed(
            f"{model.path} would need {_gigabytes(needed)} for its key-value cache and this machine has "
            f"{_gigabytes(memory)}: lower `context` or `slots`"
        )


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:,.1f} GB"


def _logged_reason(log: Path) -> str | None:
    """Wait for llama.cpp's last line, then look for the reason above it."""
    text = ""
    never = threading.Event()  # a file that grows tells nobody
    deadline = time.monotonic() + _LOG_PATIENCE
    while _LAST_LOG_LINE not in text and time.monotonic() < deadline:
        never.wait(0.02)
        text = log.read_text("utf-8", "replace")
    return reason_for_failed_load(text)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _properties(listener: Path, key: str) -> dict[str, Any]:
    """Ask the engine's own listener for what its Python interface does not tell."""
    connection = _UnixConnection(listener)
    try:
        connection.request("GET", "/props", headers={"Authorization": f"Bearer {key}"})
        properties = msgspec.json.decode(connection.getresponse().read())
    except (OSError, http.client.HTTPException, msgspec.DecodeError):
        return {}
    finally:
        connection.close()
    return properties if isinstance(properties, dict) else {}


def _facts(properties: dict[str, Any], params: Any, seconds: float) -> EngineFacts:
    settings = properties.get("default_generation_settings", {})
    return EngineFacts(
        context=settings.get("n_ctx") or params.n_ctx // params.n_parallel,
        slots=params.n_parallel,
        batch=params.n_batch,
        threads=params.cpuparams.n_threads,
        build=str(properties.get("build_info", "unknown")),
        load_seconds=round(seconds, 3),
        template_features=_flags(properties.get("chat_template_caps")),
        modalities=_flags(properties.get("modalities")),
    )


def _flags(value: object) -> dict[str, bool]:
    return {str(name): bool(flag) for name, flag in value.items()} if isinstance(value, dict) else {}
