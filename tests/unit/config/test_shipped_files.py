"""The shipped configuration files against the schema: they cannot drift apart."""

import itertools
import re
from pathlib import Path

import pytest
import yaml

from testkit import ROOT
from visionfleet.config import Config, load

ETC = ROOT / "etc"
WHOLE = ETC / "visionfleet.yaml"
_SETTING = re.compile(r"^ *([a-z0-9_]+):")

Keys = set[tuple[str, ...]]


def keys(values: dict[str, object], above: tuple[str, ...] = ()) -> Keys:
    found: Keys = set()
    for name, value in values.items():
        found |= keys(value, (*above, name)) if isinstance(value, dict) else {(*above, name)}
    return found


def written(path: Path) -> dict[str, object]:
    read: dict[str, object] = yaml.safe_load(path.read_text())
    return read


def defaults() -> dict[str, object]:
    return Config().model_dump(mode="json")


def test_shipped_file_has_every_key() -> None:
    assert keys(written(WHOLE)) == keys(defaults())


def test_shipped_file_has_the_defaults() -> None:
    assert written(WHOLE) == defaults()


def test_shipped_file_keeps_the_order_of_the_schema() -> None:
    assert yaml.safe_dump(written(WHOLE), sort_keys=False) == yaml.safe_dump(
        defaults(), sort_keys=False
    )


@pytest.mark.parametrize("path", [WHOLE, ETC / "local.yaml"], ids=lambda path: path.name)
def test_shipped_file_has_a_comment_for_every_key(path: Path) -> None:
    lines = path.read_text().splitlines()
    sections = {name for name, value in written(path).items() if isinstance(value, dict)}
    for number, line in enumerate(lines):
        match = _SETTING.match(line)
        if match and not (match[1] in sections and not line.startswith(" ")):
            indent = " " * (len(line) - len(line.lstrip()))
            assert lines[number - 1].startswith(f"{indent}# "), f"no comment above {line!r}"
            assert not lines[number - 2].startswith(f"{indent}#"), f"two comments above {line!r}"
            assert lines[number - 1].endswith("."), f"not a sentence above {line!r}"


def test_shipped_file_comments_have_the_ranges_of_the_schema() -> None:
    lines = WHOLE.read_text().splitlines()
    schema = Config.model_json_schema()
    section = ""
    for above, line in itertools.pairwise(lines):
        if match := re.match(r"^([a-z0-9]+):$", line):
            section = match[1].capitalize()
        elif (match := _SETTING.match(line)) and line.startswith(" "):
            bounds = _bounds(schema["$defs"][section]["properties"][match[1]])
            if bounds:
                assert f"{bounds[0]} to {bounds[1]}" in above, f"{line!r} has {bounds}"


def _bounds(node: dict[str, object]) -> tuple[object, object] | None:
    options = node.get("anyOf", [node])
    assert isinstance(options, list)
    for option in options:
        if "minimum" in option and "maximum" in option:
            return _short(option["minimum"]), _short(option["maximum"])
    return None


def _short(number: float) -> float:
    return int(number) if number == int(number) else number


def test_local_file_has_only_what_differs() -> None:
    default = defaults()
    for section, values in written(ETC / "local.yaml").items():
        assert isinstance(values, dict)
        for name, value in values.items():
            assert default[section][name] != value, f"{section}.{name} is the default"


@pytest.mark.parametrize("path", [WHOLE, ETC / "local.yaml"], ids=lambda path: path.name)
def test_shipped_files_load(path: Path) -> None:
    load(path, {})


def test_local_file_paths_are_in_the_working_copy() -> None:
    config = load(ETC / "local.yaml", {}).config
    assert config.model.directory == ETC.parent / "models"
    assert config.supervisor.socket == ETC.parent / "var" / "supervisor.sock"
