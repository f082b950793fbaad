"""Owns the settings: tidegate.yaml, the environment and the command line become one immutable Config."""

from tidegate.config.load import DEFAULT_FILE, load_config, load_store, read_file
from tidegate.config.presets import CONTINUES, QUIRKS, Preset, load_presets
from tidegate.config.providers import local_providers
from tidegate.config.secret import Secret
from tidegate.config.settings import (
    Auth,
    Config,
    Demo,
    Deployment,
    Limits,
    McpServer,
    Model,
    Provider,
    Retry,
    Server,
    Streams,
    Timeouts,
    Workspaces,
)
from tidegate.config.values import is_loopback, parse_duration, parse_size

__all__ = [
    "CONTINUES",
    "DEFAULT_FILE",
    "QUIRKS",
    "Auth",
    "Config",
    "Demo",
    "Deployment",
    "Limits",
    "McpServer",
    "Model",
    "Preset",
    "Provider",
    "Retry",
    "Secret",
    "Server",
    "Streams",
    "Timeouts",
    "Workspaces",
    "is_loopback",
    "load_config",
    "load_presets",
    "load_store",
    "local_providers",
    "parse_duration",
    "parse_size",
    "read_file",
]
