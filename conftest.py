"""Loads the fixtures that all tests share."""

from pathlib import Path

from tests.bytecode import keep_compiled

pytest_plugins = ["tests.fixtures"]

keep_compiled(Path(__file__).parent / ".pytest_cache" / "bytecode")
