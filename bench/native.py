"""Compiles the harness's C programs into a cache folder, once per version of their source."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchError

SOURCE = Path(__file__).parent / "native"
FLAGS = ("-std=gnu17", "-O2", "-Wall", "-Wextra")
PARTS = {
    "mock": ("mock.c", "reply.c", "forms.c", "timetable.c"),
    "load": ("load.c", "answer.c", "account.c", "forms.c", "options.c", "request.c", "results.c"),
}


@dataclass(frozen=True, slots=True)
class Programs:
    """Where the compiled mock upstream and load generator are."""

    mock: Path
    load: Path


def programs(cache: Path | None = None) -> Programs:
    """The two programs, compiled if this version of them is not in the cache yet."""
    folder = cache or cache_folder()
    return Programs(mock=compiled("mock", folder), load=compiled("load", folder))


def cache_folder() -> Path:
    """The user's cache folder, or one below TMPDIR where there is no home to write to."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = base / "tidegate-bench"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        folder = Path(tempfile.gettempdir()) / f"tidegate-bench-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def compiler() -> str:
    found = shutil.which(os.environ.get("CC", "cc"))
    if found is None:
        raise BenchError(
            "The bench needs a C compiler for its mock upstream and load generator: install gcc or clang "
            "(Debian: apt install gcc libc6-dev), or set CC."
        )
    return found


def compiled(name: str, folder: Path) -> Path:
    """The program of that name; its file name holds a digest of what it was made from."""
    digest = hashlib.sha256(repr((FLAGS, PARTS[name])).encode())
    for path in sorted(SOURCE.glob("*.[ch]")):
        digest.update(path.read_bytes())
    program = folder / f"{name}-{digest.hexdigest()[:16]}"
    if not program.exists():
        compile_to(program, [SOURCE / part for part in PARTS[name]])
    return program


def compile_to(program: Path, sources: list[Path]) -> None:
    # Made beside its place and then moved there: two benches that start together never meet half a program.
    with tempfile.TemporaryDirectory(dir=program.parent) as folder:
        fresh = Path(folder) / program.name
        command = [compiler(), *FLAGS, "-o", str(fresh), *map(str, sources)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise BenchError(
                f"{program.name} does not compile (it needs Linux and glibc 2.35 or newer):\n{result.stderr}"
            )
        fresh.replace(program)
