"""Runs, tests, checks and measures Tidegate in a clone with nothing but a Python: `python3 tools/dev.py run`.

Standard library only. It loads on Python 3.8, far enough to find a newer one or to say how to get it.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tools.clients import Clients, ensure_clients
from tools.environment import Environment, ensure
from tools.interpreter import SetupError
from tools.port import port_problem

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = Environment(ROOT)
CORE: frozenset[str] = frozenset()
TEST = frozenset({"test"})


def main() -> int:
    commands = {
        "run": run,
        "test": test,
        "soak": soak,
        "bench": bench,
        "check": check,
        "test-clients": test_clients,
    }
    parser = argparse.ArgumentParser(
        prog="tools/dev.py",
        description="Sets Tidegate up in .venv and works with it.",
        epilog="PORT, HOST and ARGS (more arguments for the command), WHEELS (install from this folder, "
        "without an index) and INDEX_WAIT (seconds to wait for an index) are read from the environment.",
    )
    subcommands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name, function in commands.items():
        subcommands.add_parser(name, help=function.__doc__)
    try:
        return commands[parser.parse_args().command](os.environ)
    except SetupError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def run(settings: Mapping[str, str]) -> int:
    """install what is missing and serve on http://127.0.0.1:7860"""
    arguments = serve_arguments(settings)
    problem = port_problem(arguments, settings, this_command("run"))
    if problem:
        raise SetupError(problem)
    ensure(ENVIRONMENT, CORE, settings)
    return become([str(ENVIRONMENT.script("tidegate")), "serve", *arguments])


def test(settings: Mapping[str, str]) -> int:
    """install the test tools and run the tests; ARGS go to pytest"""
    return python_module(settings, "pytest", *more_arguments(settings))


def soak(settings: Mapping[str, str]) -> int:
    """run the long tests, and each property test with 20 times as many examples, new ones each time"""
    os.environ.setdefault("SOAK_EXAMPLES", "20")
    luck = ["-m", "soak or hypothesis", "-n", "auto", "--timeout", "0"]
    return python_module(settings, "pytest", *luck, *more_arguments(settings))


def bench(settings: Mapping[str, str]) -> int:
    """measure the gateway beside nginx; ARGS go to the benchmark"""
    return python_module(settings, "bench", *more_arguments(settings))


def test_clients(settings: Mapping[str, str]) -> int:
    """install clients of all kinds, most of which need Node, and run the tests with them"""
    if not shutil.which("node"):
        print("The client tests are left out: install Node.js 20 or newer, then try again.")
        return 0
    ensure(ENVIRONMENT, TEST, settings)
    ensure_clients(Clients(ROOT), settings)
    return python_module(settings, "pytest", "tests/clients", "-m", "clients", *more_arguments(settings))


def check(settings: Mapping[str, str]) -> int:
    """look for mistakes in style, format and types without running anything"""
    ensure(ENVIRONMENT, TEST, settings)
    python = str(ENVIRONMENT.python)
    checks = ("ruff check", "ruff format --check", "mypy")
    failed = [each for each in checks if subprocess.call([python, "-m", *each.split()], cwd=ROOT) != 0]
    if failed:
        ruff = ENVIRONMENT.script("ruff").relative_to(ROOT)
        mend = f"`{ruff} check --fix` and `{ruff} format` mend what can be mended"
        raise SetupError(f"Not clean: {', '.join(failed)}; {mend}.")
    return 0


def serve_arguments(settings: Mapping[str, str]) -> list[str]:
    """The arguments of `tidegate serve`: what is not set is left to the configuration file."""
    arguments = more_arguments(settings)
    for option, name in (("--host", "HOST"), ("--port", "PORT")):
        if settings.get(name):
            arguments += [option, settings[name]]
    return arguments


def more_arguments(settings: Mapping[str, str]) -> list[str]:
    try:
        return shlex.split(settings.get("ARGS", ""))
    except ValueError as error:
        raise SetupError(f"ARGS cannot be read ({error}): close its quotes.") from None


def this_command(name: str) -> str:
    """How the user started this: make tells by an environment variable of its own."""
    if os.environ.get("MAKELEVEL"):
        return f"make {name}"
    return f"{Path(sys.executable).name} tools/dev.py {name}"


def python_module(settings: Mapping[str, str], module: str, *arguments: str) -> int:
    ensure(ENVIRONMENT, TEST, settings)
    os.chdir(ROOT)
    return become([str(ENVIRONMENT.python), "-m", module, *arguments])


def become(command: list[str]) -> int:
    """Replace this process by `command`, whose signals and exit code then count; Windows has to wait."""
    sys.stdout.flush()
    if os.name != "nt":
        os.execv(command[0], command)
    return subprocess.call(command)


if __name__ == "__main__":
    sys.exit(main())
