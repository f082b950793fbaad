"""What the owner tells a worker at its start and at a reload."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from tidegate.config import Config, Limits, load_config


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """Settings as the owner read them, and what it found at the providers.

    Workers see the text that was read, not the file: what is in that by now may hold mistakes. Credentials of
    the environment are not in it; workers inherit them.
    """

    config_path: str | None
    text: str
    given: dict[str, Any]
    found: list[dict[str, Any]]
    workers: int
    folder: str

    def config(self, environ: Mapping[str, str]) -> Config:
        """The settings of one worker: its part of what is allowed to all."""
        path = None if self.config_path is None else Path(self.config_path)
        return shared_out(load_config(path, environ, self.given, text=self.text), self.workers)


def shared_out(config: Config, workers: int) -> Config:
    """Settings with the numbers of streams divided, rounded up."""
    server = replace(config.server, max_streams=math.ceil(config.server.max_streams / workers))
    models = {
        name: replace(
            model,
            use=tuple(
                replace(each, limits=Limits(max_streams=math.ceil(each.limits.max_streams / workers)))
                if each.limits.max_streams is not None
                else each
                for each in model.use
            ),
        )
        for name, model in config.models.items()
    }
    return replace(config, server=server, models=models)
