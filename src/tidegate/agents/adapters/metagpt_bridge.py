"""Runs a role of MetaGPT in an interpreter that has it, and tells what it says, a line of JSON at a time.

Run by path in another environment, so it imports nothing of ours. Reads one JSON object: ``role`` (the name
of a class in ``metagpt.roles``, or ``module:class``), ``text`` and ``arguments`` of the role. Writes objects
with one of ``text``, ``file`` (a path), ``usage`` and, last, ``error`` or ``end``: without one of these it
broke off. What MetaGPT prints goes to standard error.
"""

from __future__ import annotations

import asyncio
import json
import os
import pkgutil
import re
import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any, TextIO


def main() -> int:
    """The exit code is 0 also where the role failed: that was told."""
    here = Path(__file__).resolve().parent
    sys.path[:] = [each for each in sys.path if Path(each).resolve() != here]  # our files have such names too
    asked = json.load(sys.stdin)
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever prints from here on is no part of the answer

    def tell(**said: Any) -> None:
        out.write(json.dumps(said) + "\n")
        out.flush()

    try:
        asyncio.run(run(asked, tell))
    except BaseException as error:
        traceback.print_exc()
        tell(error=f"{type(error).__name__}: {error}")
    else:
        tell(end=True)
    close(out)
    return 0


async def run(asked: dict[str, Any], tell: Any) -> None:
    """Have the role do what it was asked."""
    logs = import_module("metagpt.logs")
    said = []

    def stream(text: Any) -> None:
        if text:
            said.append(True)
            tell(text=str(text))

    logs.set_llm_stream_logfunc(stream)
    role = find_role(asked["role"])(**asked.get("arguments") or {})
    try:
        result = await role.run(asked["text"])
    finally:
        tell_costs(role, tell)
    content = str(getattr(result, "content", "") or "")
    path = Path(content) if 0 < len(content) < 1024 and "\n" not in content else None
    if path is not None and path.is_file():
        tell(file=str(path.resolve()))
    elif not said:
        tell(text=content)


def tell_costs(role: Any, tell: Any) -> None:
    """What was spent, also by a role that failed."""
    costs = getattr(getattr(role, "llm", None), "cost_manager", None)
    if costs is not None:
        tell(
            usage={
                "input_tokens": int(getattr(costs, "total_prompt_tokens", 0)),
                "output_tokens": int(getattr(costs, "total_completion_tokens", 0)),
            }
        )


def find_role(name: str) -> Any:
    """The class of a role."""
    if ":" in name:
        module, _, name = name.partition(":")
        return getattr(import_module(module), name)
    roles = import_module("metagpt.roles")
    if hasattr(roles, name):
        return getattr(roles, name)
    wanted = re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
    modules = [each.name for each in pkgutil.walk_packages(roles.__path__, "metagpt.roles.")]
    for module in sorted(modules, key=lambda each: each.rpartition(".")[2] != wanted):
        if module.rpartition(".")[2] == wanted:
            return getattr(import_module(module), name)
    raise LookupError(f"metagpt.roles has no role {name}")


def close(out: TextIO) -> None:
    """Threads that MetaGPT leaves behind must not keep the process."""
    out.close()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
