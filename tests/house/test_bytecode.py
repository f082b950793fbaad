"""Holds the cost of starting a process down: what one has compiled, the next one finds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.house.source_tree import ROOT

PROGRAM = """
import subprocess, sys
from pathlib import Path
from tests.bytecode import keep_compiled
keep_compiled(Path(sys.argv[1]))
import colorsys
subprocess.run([sys.executable, "-c", "import calendar"], check=True)
"""


def test_what_is_compiled_is_kept_where_it_is_kept_out_of_the_source(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPYCACHEPREFIX"}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    subprocess.run([sys.executable, "-c", PROGRAM, str(tmp_path)], cwd=ROOT, env=environment, check=True)
    kept = {path.name.partition(".")[0] for path in tmp_path.rglob("*.pyc")}
    assert {"colorsys", "calendar"} <= kept
