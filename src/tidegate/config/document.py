"""Owns reading a YAML document by name, with the line of everything that is wrong in it.

A `Section` is a mapping whose settings are asked for one by one; what nobody asked for is an unknown key.
Nothing raises while a document is read: mistakes are collected in `Problems`, so that all are told at once.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

import yaml

from tidegate.config.expansion import ExpansionError, expand
from tidegate.errors import ConfigError

Parsed = TypeVar("Parsed")
_STR: Final = "tag:yaml.org,2002:str"
_NULL: Final = "tag:yaml.org,2002:null"
_MERGE: Final = "tag:yaml.org,2002:merge"
_MAP: Final = "tag:yaml.org,2002:map"
_SEQ: Final = "tag:yaml.org,2002:seq"
_QUOTED: Final = re.compile(r" '[^'<]{3,}'")
_LONGEST_SHOWN: Final = 80
_DEEPEST_MERGE: Final = 16  # a mapping may even inherit from itself


class Problems:
    """Every mistake found so far, one whole sentence each."""

    def __init__(self) -> None:
        self._found: list[tuple[int, str]] = []

    def add(self, place: str, sentence: str, line: int = 0) -> None:
        """Record that ``sentence`` holds at ``place``: a file and line, a variable, an option."""
        problem = (line, told(place, sentence))
        if problem not in self._found:
            self._found.append(problem)

    def raise_if_any(self) -> None:
        """Raise ConfigError with one line for each mistake, in the order of the file."""
        if self._found:
            in_order = sorted(self._found, key=lambda problem: problem[0])
            raise ConfigError("\n".join(sentence for _, sentence in in_order))


def told(place: str, sentence: str) -> str:
    """What is shown of a mistake."""
    return f"{place}: {sentence}" + ("" if sentence.endswith("?") else ".")


class Document:
    """One configuration file: its label in errors, the environment it refers to, and its mistakes."""

    def __init__(self, label: str, environ: Mapping[str, str], problems: Problems) -> None:
        self.label = label
        self.environ = environ
        self.problems = problems

    def parse(self, text: str) -> Section:
        """Return the root of ``text``, empty when there is none. Raises ConfigError where it is no YAML."""
        try:
            node = yaml.compose(text, yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = mark.line + 1 if mark else 1
            raise ConfigError(f"{self.label}:{line}: not valid YAML: {_words(error)}.") from None
        except (yaml.YAMLError, RecursionError):
            raise ConfigError(
                f"{self.label}: not valid YAML: it holds characters or a depth that YAML forbids."
            ) from None
        if node is None or node.tag == _NULL:
            return Section(self, yaml.MappingNode(_MAP, []), "")
        if not isinstance(node, yaml.MappingNode):
            raise ConfigError(f"{self.label}:1: must be a mapping such as `server: {{port: 7860}}`.")
        return Section(self, node, "")


class Value:
    """One node of a document, the path that leads to it, and the line that it is told by."""

    def __init__(self, document: Document, node: yaml.Node, path: str, line: int | None) -> None:
        self.document = document
        self.node = node
        self.path = path
        self.line = line

    @property
    def from_file(self) -> bool:
        """Whether the file holds this value, and not the command line."""
        return self.line is not None

    @property
    def place(self) -> str:
        """File and line; the name of the option, where the value came from the command line."""
        if self.line is None:
            return "--" + self.path.rpartition(".")[2].partition("[")[0].replace("_", "-")
        return f"{self.document.label}:{self.line}"

    @property
    def is_null(self) -> bool:
        """Whether nothing, ``~`` or ``null`` stands here."""
        return self.node.tag == _NULL

    @property
    def is_scalar(self) -> bool:
        """Whether a single value stands here, and neither a list nor a mapping."""
        return isinstance(self.node, yaml.ScalarNode)

    def complain(self, sentence: str) -> None:
        """Record that ``sentence``, whose subject is this setting, is wrong with it."""
        self.document.problems.add(self.place, f"{self.path} {sentence}", self.line or 0)

    def complaint(self, sentence: str) -> str:
        """What :meth:`complain` would have shown, for a mistake that depends on more than the settings."""
        return told(self.place, f"{self.path} {sentence}")

    @property
    def shown(self) -> str:
        """The text as it stands in the file, in quotes: references unfollowed, so no credential shows."""
        return f'"{_printable(self.node.value)}"' if self.is_scalar else "a list or a mapping"

    def text(self) -> str | None:
        """Return the text with its references followed; None, and a complaint, if it is not to be had."""
        if not isinstance(self.node, yaml.ScalarNode):
            self.complain("must be a single value")
            return None
        if not self.from_file:
            return str(self.node.value)
        try:
            return expand(self.node.value, self.document.environ)
        except ExpansionError as error:
            self.complain(str(error))
            return None

    def parsed(self, parse: Callable[[str], Parsed], *, secret: bool = False) -> Parsed | None:
        """Return the parsed text; None, and a complaint, if it is wrong. A ``secret`` is not repeated."""
        text = self.text()
        if text is None:
            return None
        try:
            return parse(text)
        except ValueError as error:
            self.complain(str(error) if secret else f"{error}, not {self.shown}")
            return None

    def section(self) -> Section | None:
        """Return this value as a mapping, empty where it is null; None, and a complaint, when it is none."""
        if isinstance(self.node, yaml.MappingNode):
            return Section(self.document, self.node, self.path)
        if self.is_null:
            return Section(self.document, yaml.MappingNode(_MAP, []), self.path)
        self.complain("must be a mapping")
        return None

    def data(self) -> Any:
        """Return all that stands here as plain values, references followed; wrong ones as None."""
        if isinstance(self.node, yaml.MappingNode):
            inner = self.section()
            return {name: value.data() for name, value in inner.entries()} if inner else {}
        if isinstance(self.node, yaml.SequenceNode):
            return [value.data() for value in self.items()]
        text = self.text()
        return text if text is None or self.node.tag == _STR else yaml.safe_load(text)

    def items(self) -> list[Value]:
        """Return the members of a list; a single value counts as a list of one."""
        if not isinstance(self.node, yaml.SequenceNode):
            return [self]
        return [
            Value(self.document, node, f"{self.path}[{index}]", self.line and _line(node))
            for index, node in enumerate(self.node.value)
        ]


class Section:
    """A mapping whose settings are asked for by name, and closed when every known one has been."""

    def __init__(self, document: Document, node: yaml.MappingNode, path: str) -> None:
        self.document = document
        self.path = path
        self._known: set[str] = set()
        self._later: set[str] = set()
        self._values: dict[str, Value] = {}
        self._read(node)

    def _read(self, node: yaml.MappingNode) -> None:
        for key, value in self._inherited(node, 0):
            self._values[str(key.value)] = self._value(key, value)
        lines: dict[str, int] = {}
        for key, value in node.value:
            if key.tag == _MERGE:
                continue
            if not isinstance(key, yaml.ScalarNode):
                self._complain(_line(key), "the name of a setting must be a single word")
                continue
            name = str(key.value)
            self._values[name] = self._value(key, value)
            if name in lines:
                self._values[name].complain(f"is set twice, first in line {lines[name]}; remove one")
            lines[name] = _line(key)

    def _inherited(self, node: yaml.MappingNode, depth: int) -> list[tuple[yaml.ScalarNode, yaml.Node]]:
        """Return what the mapping takes over through ``<<``, the nearest last."""
        pairs: list[tuple[yaml.ScalarNode, yaml.Node]] = []
        for key, value in node.value:
            if key.tag != _MERGE:
                continue
            sources = value.value if isinstance(value, yaml.SequenceNode) else [value]
            for source in reversed(sources):
                if not isinstance(source, yaml.MappingNode) or depth > _DEEPEST_MERGE:
                    self._complain(_line(key), "<< must name a mapping, or a list of mappings")
                    continue
                pairs += self._inherited(source, depth + 1)
                pairs += [
                    pair
                    for pair in source.value
                    if isinstance(pair[0], yaml.ScalarNode) and pair[0].tag != _MERGE
                ]
        return pairs

    def _value(self, key: yaml.Node, node: yaml.Node) -> Value:
        name = str(key.value)
        return Value(self.document, node, self._path_of(name), _line(key))

    def _path_of(self, name: str) -> str:
        word = _printable(name)
        return f"{self.path}.{word}" if self.path else word

    def _complain(self, line: int, sentence: str) -> None:
        self.document.problems.add(f"{self.document.label}:{line}", sentence, line)

    def overlay(self, name: str, texts: Sequence[str]) -> None:
        """Replace a setting by one from the command line; several texts make a list."""
        nodes = [yaml.ScalarNode(_STR, text) for text in texts]
        node = nodes[0] if len(nodes) == 1 else yaml.SequenceNode(_SEQ, nodes)
        self._values[name] = Value(self.document, node, self._path_of(name), None)

    def get(self, name: str) -> Value | None:
        """Return a setting, None where it is absent or null. Its name is a known one from now on."""
        self._known.add(name)
        value = self._values.get(name)
        return None if value is None or value.is_null else value

    def parsed(
        self, name: str, parse: Callable[[str], Parsed], default: Parsed, *, secret: bool = False
    ) -> Parsed:
        """Return a setting's parsed text, or ``default`` where it is absent or wrong."""
        value = self.get(name)
        parsed = value.parsed(parse, secret=secret) if value else None
        return default if parsed is None else parsed

    def optional(self, name: str, parse: Callable[[str], Parsed], *, secret: bool = False) -> Parsed | None:
        """Return a setting's parsed text, or None where it is absent or wrong."""
        value = self.get(name)
        return value.parsed(parse, secret=secret) if value else None

    def listed(
        self, name: str, parse: Callable[[str], Parsed], *, secret: bool = False
    ) -> list[Parsed] | None:
        """Return the parsed members of a list without the wrong ones; None where there is no such setting."""
        value = self.get(name)
        if value is None:
            return None
        members = (member.parsed(parse, secret=secret) for member in value.items())
        return [member for member in members if member is not None]

    def section(self, name: str) -> Section:
        """Return a mapping inside this one, empty where it is absent or wrong."""
        value = self.get(name)
        found = value.section() if value else None
        if found is not None:
            return found
        return Section(self.document, yaml.MappingNode(_MAP, []), self._path_of(name))

    def entries(self) -> list[tuple[str, Value]]:
        """Return every name with its value, for a mapping whose names the operator chooses."""
        self._known.update(self._values)
        return list(self._values.items())

    def unavailable(self, *names: str) -> None:
        """Complain about settings that this version knows of and cannot follow yet."""
        for name in names:
            self._later.add(name)
            value = self._values.get(name)
            if value is not None and not value.is_null:
                value.complain("is not available in this version; remove it")

    def close(self, elsewhere: Mapping[str, str] | None = None) -> None:
        """Complain about every setting that nobody asked for; ``elsewhere`` says where a name belongs."""
        for name, value in self._values.items():
            if name not in self._known | self._later:
                place = (elsewhere or {}).get(name)
                meant = (
                    f'; did you mean "{place}"?' if place else suggestion(name, self._known, "settings here:")
                )
                value.complain(f"is not a setting{meant}")


def suggestion(name: str, options: Iterable[str], otherwise: str) -> str:
    """Return the clause that names what was probably meant, or all there is where nothing is near."""
    known = sorted(options)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    if not near:
        by_folded = {option.lower().replace("-", "_"): option for option in known}
        near = difflib.get_close_matches(name.lower().replace("-", "_"), list(by_folded), n=3, cutoff=0.6)
        near = [by_folded[folded] for folded in near]
    if near:
        return "; did you mean " + " or ".join(f'"{option}"' for option in near) + "?"
    return f"; {otherwise} {', '.join(known)}" if known else ""


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _printable(text: str) -> str:
    """Return ``text`` short enough for a sentence, without what would end the line or move a cursor."""
    text = text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def _words(error: yaml.MarkedYAMLError) -> str:
    """Say in one clause what the parser stumbled over."""
    problem = str(error.problem or error.context)
    if "<stream end>" in problem:
        return "it ends before a bracket, a brace or a quote is closed"
    if "another document" in problem:
        return "it holds a second document; remove the --- before it"
    if "alias" in problem:
        return "a value that begins with * must stand in quotes"
    if "'\\t'" in problem:
        return "a tab stands where YAML wants spaces"
    if "mapping values are not allowed here" in problem:
        return (
            "a colon stands where none is allowed; put the text around it in quotes, or mend the indentation"
        )
    return _QUOTED.sub("", problem)  # the parser quotes the file, and what it quotes may be a credential
