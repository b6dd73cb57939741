"""Parses YAML into plain values with their origins."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml
from yaml.reader import ReaderError

from visionfleet.errors import reason_of

Key = tuple[str, ...]
_NUMBERS = {"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"}
_MERGE = "tag:yaml.org,2002:merge"
# Numbers of YAML 1.1 that mean something else to people: 1:30 is 90, 010 is 8.
_MISLEADING = re.compile(r"[-+]?0[0-9_]|.*:")
# What to do, by PyYAML's words for the fault.
_REMEDIES = {
    "found character '\\t' that cannot start any token": "indent with spaces, not tabs",
    "mapping values are not allowed here": "indent it like its neighbours; a value with a colon "
    "needs quotes",
    "found undefined alias": "a value that begins with `*` needs quotes",
}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value was set; `line` and `column` count from 1, 0 if unknown."""

    source: str
    line: int = 0
    column: int = 0
    directory: Path = Path()

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source


@dataclass(frozen=True, slots=True)
class SourcedValues:
    """Values by dotted key as a tuple, their origins, and faults found while parsing."""

    values: dict[Key, object] = field(default_factory=dict)
    origins: dict[Key, Origin] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def put(self, key: Key, value: object, origin: Origin) -> None:
        self.values[key] = value
        self.origins[key] = origin

    def tree(self) -> dict[str, object]:
        """Nested values: {("web", "port"): 80} becomes {"web": {"port": 80}}."""
        root: dict[str, object] = {}
        for key, value in self.values.items():
            node: object = root
            for part in key[:-1]:
                node = node.setdefault(part, {}) if isinstance(node, dict) else None
            if isinstance(node, dict):
                node[key[-1]] = value
        return root


class _Loader(yaml.SafeLoader):
    def resolve(
        self, kind: type[yaml.Node], value: str | None, implicit: tuple[bool, bool] | bool
    ) -> str:
        tag: str = super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]
        misleading = tag in _NUMBERS and value is not None and _MISLEADING.match(value)
        return self.DEFAULT_SCALAR_TAG if misleading else tag


def read_file(path: Path, into: SourcedValues) -> None:
    """Merge a YAML file over `into`; faults are added to it."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        into.faults.append(f"{path}: cannot be read: {reason_of(error)}")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        into.faults.append(f"{path}:{line}: cannot be read: {reason_of(error)}")
    else:
        read_text(text, str(path), path.parent, into)


def read_text(text: str, source: str, directory: Path, into: SourcedValues) -> None:
    """Merge YAML over `into`; `source` names it in faults, relative paths start at `directory`."""
    try:
        root = yaml.compose(text, Loader=_Loader)
        _read_root(root, Origin(source, directory=directory), into)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{source}:{mark.line + 1}:{mark.column + 1}" if mark else source
        into.faults.append(f"{where}: not YAML: {_problem(error)}")
    except ReaderError as error:
        line = text[: error.position].count("\n") + 1
        into.faults.append(f"{source}:{line}: not YAML: {str(error).splitlines()[0]}")
    except RecursionError:  # also for a recursive alias
        into.faults.append(f"{source}: not YAML that can be read: it is nested too deeply")


def _problem(error: yaml.MarkedYAMLError) -> str:
    """PyYAML's words, with the line where the unfinished thing began, and what to do."""
    said = str(error.problem or error.context)
    began, ended = error.context_mark, error.problem_mark
    if error.context and began and ended and began.line < ended.line:
        said = f"{error.context} that begins in line {began.line + 1}: {said}"
    remedies = (text for words, text in _REMEDIES.items() if words in said)
    return "; ".join((said, *remedies))


def read_value(text: str) -> object:
    """Parse a single value, as from the environment; invalid YAML is taken as text."""
    try:
        node = yaml.compose(text, Loader=_Loader)
    except (yaml.YAMLError, RecursionError):
        return text
    return None if node is None else _construct(node)


def _read_root(root: yaml.Node | None, file: Origin, into: SourcedValues) -> None:
    if isinstance(root, yaml.MappingNode):
        _read_mapping(root, (), file, into)
    elif root is not None and not _is_null(root):
        into.faults.append(f"{file}: expected sections with keys, like `web:` and `port: 8080`")


def _read_mapping(node: yaml.MappingNode, above: Key, file: Origin, into: SourcedValues) -> None:
    for name, value, origin in _entries(node, above, file, into):
        key = (*above, name)
        if isinstance(value, yaml.MappingNode) and value.value:
            _read_mapping(value, key, file, into)
        else:
            into.put(key, _construct(value), origin)


def _entries(
    node: yaml.MappingNode, above: Key, file: Origin, into: SourcedValues
) -> Iterator[tuple[str, yaml.Node, Origin]]:
    """The entries of a mapping; PyYAML would silently keep the last of two equal keys."""
    lines: dict[str, int] = {}
    for key_node, value in node.value:
        name, mark = str(key_node.value), key_node.start_mark
        origin = replace(file, line=mark.line + 1, column=mark.column + 1)
        if not isinstance(key_node, yaml.ScalarNode) or key_node.tag == _MERGE:
            kind = "a merge (`<<`)" if key_node.tag == _MERGE else "a list or braces"
            below = f" below {'.'.join(above)}" if above else ""
            into.faults.append(f"{origin}: expected the name of a setting{below}, got {kind}")
            continue
        if name in lines:
            dotted = ".".join((*above, name))
            into.faults.append(f"{origin}: {dotted}: set twice, first in line {lines[name]}")
        lines.setdefault(name, origin.line)
        yield name, value, origin


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _construct(node: yaml.Node) -> object:
    loader = _Loader("")
    try:
        return loader.construct_object(node, deep=True)
    except (yaml.YAMLError, ValueError):  # ValueError: `!!int many`, and dates like 2026-99-99
        return str(node.value) if isinstance(node, yaml.ScalarNode) else "something odd"
    finally:
        loader.dispose()
