"""The command `python -m bench.retrieval`: how well questions find their passages, and how fast.

Without options it prints recall and nDCG of each way of searching. The vectors are in the repository; where
the texts have changed, ``--model`` makes them anew. ``--scale`` measures a workspace of so many passages.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.retrieval.quality import Vectors, measure


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 measured, 1 in part only."""
    options = _parser().parse_args(arguments)
    if options.scale:
        from bench.retrieval import scale  # noqa: PLC0415 - needs numpy

        for line in asyncio.run(scale.measure(options.scale)).lines():
            print(line)
        return 0
    if options.model is not None:
        from bench.retrieval.minilm import MiniLm  # noqa: PLC0415 - needs numpy

        Vectors.made(MiniLm(options.model).embed).store()
    return _quality()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.retrieval", description=__doc__)
    parser.add_argument("--model", type=Path, metavar="WHEEL", help="embed the texts anew with this model")
    parser.add_argument("--scale", type=int, metavar="PASSAGES", help="measure speed, not quality")
    return parser


def _quality() -> int:
    vectors = Vectors.stored()
    missing = vectors.missing()
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(measure(Path(folder), None if missing else vectors))
    print("way       language   recall@4   nDCG@10   recall@4 over 0.25   refused")
    for (way, language), figures in found.items():
        print(
            f"{way:9} {language:10} {figures.recall:8.3f} {figures.gain:9.3f} "
            f"{figures.answered:20.3f} {figures.refused:9.2f}"
        )
    if missing:
        print(f"vector and hybrid left out: {missing}", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    raise SystemExit(main())
