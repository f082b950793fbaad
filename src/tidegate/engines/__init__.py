"""Local engines: a GGUF file served by llama.cpp in a child process that is started, watched and stopped.

Nothing here knows a dialect or a request: an engine is a socket path, a pid and a few facts, and what is
sent over the socket is OpenAI Chat like that of any other upstream.
"""

from tidegate.engines.gguf import GgufFile, InvalidGguf, read_gguf
from tidegate.engines.handshake import EngineFacts
from tidegate.engines.machine import local_engine_problem
from tidegate.engines.process import (
    Engine,
    EngineSettings,
    EngineState,
    EngineStatistics,
    EngineUnavailable,
    HealthPolicy,
)
from tidegate.engines.restart import RestartPolicy
from tidegate.engines.shared import LocalEngine, RemoteEngine, SharedEngines

__all__ = [
    "Engine",
    "EngineFacts",
    "EngineSettings",
    "EngineState",
    "EngineStatistics",
    "EngineUnavailable",
    "GgufFile",
    "HealthPolicy",
    "InvalidGguf",
    "LocalEngine",
    "RemoteEngine",
    "RestartPolicy",
    "SharedEngines",
    "local_engine_problem",
    "read_gguf",
]
