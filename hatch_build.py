"""Compiles `tidegate.streams._relay` into each wheel where that can be done; goes on without it elsewhere.

Never a reason for an installation to fail: without it Python does the same, only slower.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import sysconfig
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

MODULE = "tidegate.streams._relay"
SOURCE = Path("src", *MODULE.split(".")).with_suffix(".c")
NEEDS = "install a C compiler and Python's headers, then install again"


class CompileRelay(BuildHookInterface[BuilderConfig]):
    """Compiles for the Python that builds, with the compiler and the flags that this was made with."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """What is needed to build; setuptools is asked for only where there is something to compile with."""
        return [] if reason_against() else ["setuptools>=61"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the compiled module to a wheel; an editable one has it beside its source."""
        beside = Path(self.root, SOURCE).parent / file_name()
        self.folder = TemporaryDirectory(prefix="tidegate-build-")
        compiled, reason = self.compiled(Path(self.folder.name))
        if version == "editable":
            if compiled:
                replace(beside, compiled)
            else:
                # What an earlier installation compiled may be from another source.
                beside.unlink(missing_ok=True)
        elif compiled:
            build_data["force_include"][str(compiled)] = "/".join([*MODULE.split(".")[:-1], compiled.name])
        if compiled:
            build_data["pure_python"] = False
            build_data["infer_tag"] = True
        else:
            self.app.display_warning(f"Streams will be relayed by Python, not by compiled code: {reason}.")

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        self.folder.cleanup()

    def compiled(self, folder: Path) -> tuple[Path | None, str]:
        """The compiled module, below `folder`, or None and why there is none."""
        reason = reason_against()
        if reason:
            return None, reason
        try:
            return compile_into(folder, Path(self.root, SOURCE)), ""
        except ImportError as error:
            return None, f"{error}: install setuptools, then install again"
        except Exception as error:
            # Whatever a compiler, its flags or a file system did: without it all works.
            return None, f"compiling failed ({error}): {NEEDS}"


def reason_against() -> str | None:
    """Why there is no use in trying to compile; None when there is one."""
    if os.environ.get("TIDEGATE_PURE", "0") not in {"", "0"}:
        return "TIDEGATE_PURE is set"
    if sys.platform not in {"linux", "darwin"} or sys.implementation.name != "cpython":
        return "it is for CPython on Linux and macOS"
    if not compiler():
        return f"there is no C compiler here: {NEEDS}"
    return None


def compiler() -> str | None:
    """The command that compiles C: the user's, or the one that this Python was made with, or the system's."""
    made_with = str(sysconfig.get_config_var("CC") or "cc")
    for command in [os.environ["CC"]] if os.environ.get("CC") else [made_with, "cc"]:
        if shutil.which(shlex.split(command)[0]):
            return command
    return None


def compile_into(folder: Path, source: Path) -> Path:
    """The module compiled from `source`, somewhere below `folder`; raises whatever setuptools does."""
    from setuptools import Distribution, Extension  # noqa: PLC0415 (may be missing)
    from setuptools.command.build_ext import build_ext  # noqa: PLC0415

    os.environ["CC"] = cast("str", compiler())
    module = Extension(MODULE, [str(source)], extra_compile_args=["-O2"])
    command = build_ext(Distribution({"name": "tidegate", "ext_modules": [module]}))
    command.build_lib = command.build_temp = str(folder)
    command.ensure_finalized()
    command.run()
    return Path(command.get_ext_fullpath(MODULE))


def file_name() -> str:
    """The file that this Python imports the compiled module from."""
    return MODULE.rpartition(".")[2] + str(sysconfig.get_config_var("EXT_SUFFIX"))


def replace(target: Path, source: Path) -> None:
    """Put a copy of `source` at `target` in one step, as a running gateway may have `target` mapped."""
    passing = target.with_name(f"{target.name}.{os.getpid()}")
    shutil.copyfile(source, passing)
    passing.replace(target)
