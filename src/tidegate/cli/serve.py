"""``tidegate serve``: read the settings, build the application, say what was found, serve."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import click

from tidegate.access import resolve
from tidegate.cli.event_loop import loop_factory
from tidegate.cli.stored import count_keys
from tidegate.config import Config, load_config
from tidegate.engines import read_gguf
from tidegate.errors import ConfigError, StoreError
from tidegate.server.process import bind, raise_file_limit

Settings = dict[str, str | Sequence[str]]


@click.command()
@click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Settings; without it ./tidegate.yaml if there is one.",
)
@click.option(
    "--host", metavar="ADDRESS", help="Where to listen; default 127.0.0.1, which is this machine only."
)
@click.option("--port", metavar="NUMBER", help="Port to listen on; default 7860, 0 takes a free one.")
@click.option(
    "--gguf",
    metavar="FILE",
    multiple=True,
    help="A model file for the local engine; may be given several times.",
)
@click.option("--workers", metavar="NUMBER", help="Processes that serve; default 1.")
@click.option("--check", is_flag=True, help="Say whether the settings are right, and stop.")
def command(
    config_path: Path | None,
    host: str | None,
    port: str | None,
    gguf: tuple[str, ...],
    workers: str | None,
    check: bool,
) -> None:
    """Start the gateway: every model that can be found, on one address.

    Needs no settings. Vendors are used when their usual variable holds a key, such as OPENAI_API_KEY; servers
    on this machine (Ollama, vLLM, LM Studio, llama.cpp, SGLang) are asked at their usual ports; and the demo
    model is always there, to try everything before the first key.

    To let other machines in, make keys: a public address without keys is refused.

    \b
    Examples:
      tidegate serve
      tidegate serve --port 8080 --gguf models/qwen3-0.6b-q8_0.gguf
      tidegate serve --workers 4
      tidegate serve --config tidegate.yaml --check
      tidegate keys create
      tidegate serve --host 0.0.0.0

    Ctrl-C stops it once the answers under way have ended, a second Ctrl-C at once.
    """
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr
    )
    given: Settings = {}
    if host is not None:
        given["host"] = host
    if port is not None:
        given["port"] = port
    if workers is not None:
        given["workers"] = workers
    if gguf:
        given["gguf"] = list(gguf)
    try:
        if check:
            _check(load_config(config_path, os.environ, given))
            click.echo("The settings are fine.")
            return
        _run(config_path, given)
    except (ConfigError, StoreError) as error:
        click.echo(f"tidegate: {error.message}", err=True)
        sys.exit(1)


def _check(config: Config) -> None:
    """What a start would refuse beside the settings themselves: model files, routes, and a want of keys.

    Raises ConfigError and StoreError.
    """
    for path in (*(model.gguf for model in config.models.values()), *config.server.gguf):
        if path is not None:
            read_gguf(path)
    resolve(config.auth, count_keys(config))
    if config.default_model is not None:
        # The application is slow to import, and most commands have no use for it.
        from tidegate.app import check_routes  # noqa: PLC0415

        asyncio.run(check_routes(config, os.environ))


def _run(config_path: Path | None, given: Settings) -> None:
    config = load_config(config_path, os.environ, given)
    raise_file_limit()
    listener = bind(config.server.host, config.server.port)
    port: int = listener.getsockname()[1]
    shown = f"[{config.server.host}]" if ":" in config.server.host else config.server.host
    url = f"http://{'127.0.0.1' if shown in ('0.0.0.0', '[::]') else shown}:{port}"
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        if config.server.workers > 1:
            # What serves is imported by whoever serves.
            from tidegate.cli.workers.owner import Owner  # noqa: PLC0415

            runner.run(Owner(listener, url, config.server.workers, config_path, given).run())
        else:
            from tidegate.cli.alone import serve_alone  # noqa: PLC0415

            load = partial(load_config, config_path, os.environ, given)
            runner.run(serve_alone(config, listener, url, load))
