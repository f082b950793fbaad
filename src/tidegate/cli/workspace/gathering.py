"""What `tidegate workspace add` is to add: files, the files below folders, what patterns fit, and links."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_LINKS: Final = ("http://", "https://")
_BETWEEN: Final = " - "
"""Stands in a document's name for the slash of its path: two files of one name are two documents."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file, or a link where ``path`` is None. ``shown`` is for people, ``name`` what it is sent as."""

    shown: str
    name: str
    path: Path | None = None


@dataclass(slots=True)
class Gathered:
    """All that is to be added. ``missing`` are arguments that name nothing; ``left_out`` counts the files of
    folders by extensions that are not taken."""

    wanted: list[Wanted] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def gather(arguments: Sequence[str], extensions: frozenset[str]) -> Gathered:
    """What arguments stand for, in their order and each file once.

    Of folders the files with these extensions are taken; a file that is named is taken whatever it is.
    """
    gathered = Gathered()
    seen: set[Path] = set()
    links: set[str] = set()
    for argument in arguments:
        if argument.lower().startswith(_LINKS):
            if argument not in links:
                links.add(argument)
                gathered.wanted.append(Wanted(argument, argument))
            continue
        paths = list(_files(argument, extensions, gathered.left_out))
        if not paths and not Path(argument).is_dir():
            gathered.missing.append(argument)
        for path, name in paths:
            real = path.resolve()
            if real not in seen:
                seen.add(real)
                gathered.wanted.append(Wanted(str(path), name, path))
    gathered.wanted = _told_apart(gathered.wanted)
    return gathered


def _files(argument: str, extensions: frozenset[str], left_out: Counter[str]) -> Iterator[tuple[Path, str]]:
    """Files, and what each is called in a workspace."""
    path = Path(argument)
    if path.is_dir():
        yield from _below(path, extensions, left_out)
    elif path.exists():
        yield path, _name(path, path.parent)
    elif glob.has_magic(argument):  # where the shell has not done it
        for match in sorted(glob.glob(argument, recursive=True)):
            if Path(match).is_file():
                yield Path(match), _name(Path(match), Path(match).parent)


def _below(folder: Path, extensions: frozenset[str], left_out: Counter[str]) -> Iterator[tuple[Path, str]]:
    """The files of a folder and of those in it; what is hidden is passed over."""
    for at, folders, files in os.walk(folder):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        for each in sorted(files):
            path = Path(at, each)
            if each.startswith(".") or not path.is_file():
                continue
            if path.suffix.lower() in extensions:
                yield path, _name(path, folder.parent if folder.name else folder)
            else:
                left_out[path.suffix.lower() or "without an extension"] += 1


def _name(path: Path, above: Path) -> str:
    """The path from the current folder, or from ``above`` for a file that is not below it."""
    absolute = Path(os.path.abspath(path))  # and not where a link leads to
    for root in (Path.cwd(), Path(os.path.abspath(above))):
        if absolute.is_relative_to(root):
            return _joined(absolute.relative_to(root).parts)
    return path.name


def _told_apart(wanted: list[Wanted]) -> list[Wanted]:
    """Where files of several folders would be called the same, their whole paths are in their names."""
    often = Counter(each.name for each in wanted)
    return [
        Wanted(each.shown, _joined(Path(os.path.abspath(each.path)).parts[1:]), each.path)
        if each.path is not None and often[each.name] > 1
        else each
        for each in wanted
    ]


def _joined(parts: Sequence[str]) -> str:
    return _BETWEEN.join(parts).replace("\\", "-")
