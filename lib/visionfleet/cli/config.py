"""`visionfleet config`: check it, show what is in effect and where it was set, print its schema."""

import argparse
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from visionfleet.cli.options import Subparsers, add_config, command, loaded

if TYPE_CHECKING:
    from visionfleet.config import Loaded
    from visionfleet.config.yaml_source import Key


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand with its three own ones."""
    about = "check the configuration, show what is in effect, print the schema"
    parser = command(subparsers, "config", about, check)
    below = parser.add_subparsers(required=True, metavar="WHAT")
    add_config(
        command(below, "check", "print `ok` or every fault, then with exit status 78", check)
    )
    add_config(command(below, "show", "print every setting, and where it was set, as YAML", show))
    command(below, "schema", "print the JSON schema of the configuration", schema)


def check(arguments: argparse.Namespace) -> int:
    """Load it; faults pass through as BadConfig."""
    print("ok:", *loaded(arguments).files)
    return 0


def show(arguments: argparse.Namespace) -> int:
    """Print the whole configuration as a file that can be loaded again."""
    for line in lines(loaded(arguments)):
        print(line)
    return 0


def schema(_arguments: argparse.Namespace) -> int:
    """Print the JSON schema, for editors and other tools."""
    from visionfleet.config import Config

    print(json.dumps(Config.model_json_schema(), indent=2))
    return 0


def lines(whole: "Loaded") -> Iterator[str]:
    """Write a configuration as YAML, with the origin of each value behind it."""
    tree = whole.config.model_dump(mode="json")
    yield from _block(tree, (), whole)


def _block(values: Mapping[str, object], above: "Key", whole: "Loaded") -> Iterator[str]:
    indent = "  " * len(above)
    for name, value in values.items():
        key = (*above, name)
        if isinstance(value, dict):
            yield f"{indent}{name}:"
            yield from _block(value, key, whole)
        else:
            yield f"{indent}{name}: {_written(value)}  # {_origin(key, whole)}"


def _written(value: object) -> str:
    """Write a value as YAML in one line; as an item of a list it gets no document marks."""
    import yaml

    text: str = yaml.safe_dump([value], default_flow_style=True, width=10**9, allow_unicode=True)
    return text.strip()[1:-1]


def _origin(key: "Key", whole: "Loaded") -> str:
    origin = whole.origins.get(key)
    if origin is None:
        return "default"
    return f"{origin.source}:{origin.line}" if origin.line else origin.source
