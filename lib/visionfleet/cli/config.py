"""`visionfleet config`: check it, show what is in effect and where it was set, describe it."""

import argparse
import json
from collections.abc import Iterator, Mapping

from visionfleet.cli.options import add_config, command, loaded
from visionfleet.cli.parser import Parser
from visionfleet.config import Config, LoadedConfig
from visionfleet.config.reference import configuration_file, settings_page, written
from visionfleet.config.yaml_source import Key


def add_arguments(parser: Parser) -> None:
    below = parser.add_subparsers(required=True, metavar="WHAT")
    add_config(command(below, "check", "print `ok`, or every error and exit with status 78", check))
    add_config(command(below, "show", "print every setting and where it was set, as YAML", show))
    command(below, "schema", "print the JSON schema of the configuration", schema)
    command(below, "defaults", "print a file with every setting and its default", defaults)
    command(below, "reference", "print a page that describes every setting", reference)


def check(arguments: argparse.Namespace) -> int:
    print("ok:", *loaded(arguments).files)
    return 0


def show(arguments: argparse.Namespace) -> int:
    for line in lines(loaded(arguments)):
        print(line)
    return 0


def schema(_arguments: argparse.Namespace) -> int:
    print(json.dumps(Config.model_json_schema(), indent=2))
    return 0


def defaults(_arguments: argparse.Namespace) -> int:
    print(*configuration_file(), sep="\n")
    return 0


def reference(_arguments: argparse.Namespace) -> int:
    print(*settings_page(), sep="\n")
    return 0


def lines(whole: LoadedConfig) -> Iterator[str]:
    tree = whole.config.model_dump(mode="json")
    yield from _block(tree, (), whole)


def _block(values: Mapping[str, object], above: Key, whole: LoadedConfig) -> Iterator[str]:
    indent = "  " * len(above)
    for name, value in values.items():
        key = (*above, name)
        if isinstance(value, dict):
            yield f"{indent}{name}:"
            yield from _block(value, key, whole)
        else:
            yield f"{indent}{name}: {written(value)}  # {_origin(key, whole)}"


def _origin(key: Key, whole: LoadedConfig) -> str:
    origin = whole.origins.get(key)
    if origin is None:
        return "default"
    return f"{origin.source}:{origin.line}" if origin.line else origin.source
