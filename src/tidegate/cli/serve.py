"""``tidegate serve``: read the settings, build the application, say what was found, serve."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from tidegate.access import resolve
from tidegate.app import Application
from tidegate.cli.home import record_address, remove_address
from tidegate.cli.screen import show_start
from tidegate.cli.stored import count_keys
from tidegate.config import Config, load_config
from tidegate.engines import read_gguf
from tidegate.errors import ConfigError, StoreError
from tidegate.server.serve import bind, raise_file_limit, serve

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
@click.option("--check", is_flag=True, help="Say whether the settings are right, and stop.")
def command(
    config_path: Path | None, host: str | None, port: str | None, gguf: tuple[str, ...], check: bool
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
    """What a start would refuse beside the settings themselves: model files, and a want of keys.

    Raises ConfigError and StoreError.
    """
    for path in (*(model.gguf for model in config.models.values()), *config.server.gguf):
        if path is not None:
            read_gguf(path)
    resolve(config.auth, count_keys(config))


def _run(config_path: Path | None, given: Settings) -> None:
    config = load_config(config_path, os.environ, given)
    raise_file_limit()
    listener = bind(config.server.host, config.server.port)
    port: int = listener.getsockname()[1]
    factory = _loop_factory()

    async def main() -> None:
        application = Application(config, os.environ, asyncio.get_running_loop())
        shown = f"[{config.server.host}]" if ":" in config.server.host else config.server.host
        url = f"http://{'127.0.0.1' if shown in ('0.0.0.0', '[::]') else shown}:{port}"

        async def reload() -> None:
            await application.apply(load_config(config_path, os.environ, given))

        async def started() -> None:
            await application.start()
            record_address(url, os.getpid(), os.environ)
            show_start(application, url)

        try:
            await serve(
                listener,
                application.asgi,
                application.service,
                idle_timeout=config.server.idle_timeout,
                shutdown=config.server.shutdown,
                reload=reload,
                started=started,
            )
        finally:
            remove_address(os.getpid(), os.environ)
            await application.close()

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where it exists."""
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return None
    return uvloop.new_event_loop
