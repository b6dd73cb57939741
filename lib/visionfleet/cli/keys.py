"""`visionfleet keys`: add, list and revoke the API keys of the web daemon."""

import argparse
import os
import sys
import time
from pathlib import Path

from visionfleet.auth import api_keys, key_file
from visionfleet.auth.key_file import OF_HOST
from visionfleet.cli import terminal
from visionfleet.cli.options import add_config, command, loaded, number
from visionfleet.cli.parser import Parser, given_path
from visionfleet.errors import BadKeys


def add_arguments(parser: Parser) -> None:
    below = parser.add_subparsers(required=True, metavar="WHAT")
    new = command(below, "add", "create a key and print it; it is not shown again", add)
    new.add_argument("name", help="owner of the key; letters, digits and . _ @ + -")
    rate = number("requests per second", 1e-6, 1e6)
    new.add_argument(
        "--per-second", type=rate, help="rate limit of this key; default: web.key_per_second"
    )
    command(below, "list", "list the keys, without their secrets", list_keys)
    old = command(below, "revoke", "revoke a key; it takes effect within a second", revoke)
    old.add_argument("which", metavar="ID_OR_NAME")
    for parser in below.choices.values():
        parser.add_argument("--file", type=given_path, help="the key file; default: web.keys_file")
        add_config(parser)


def add(arguments: argparse.Namespace) -> int:
    random = os.urandom(api_keys.ID_BYTES + api_keys.SECRET_BYTES + api_keys.SALT_BYTES)
    key, kept = api_keys.make(arguments.name, random, time.time(), arguments.per_second)
    with key_file.edit(_place(arguments)) as found:
        if any(other.name == kept.name for other in found.values()):
            raise BadKeys(f"there is a key of the name {kept.name} already")
        found[kept.id] = kept
    print(key)
    return 0


def list_keys(arguments: argparse.Namespace) -> int:
    for kept in key_file.load(_place(arguments)).values():
        made = terminal.utc(kept.created_at)
        rate = "" if kept.per_second is None else f"{kept.per_second:g}/s"
        print(kept.id, made, kept.name, rate, sep="\t")
    return 0


def revoke(arguments: argparse.Namespace) -> int:
    with key_file.edit(_place(arguments)) as found:
        which = [kept for kept in found.values() if arguments.which in (kept.id, kept.name)]
        if not which:
            raise BadKeys(f"there is no key {arguments.which}")
        for kept in which:
            del found[kept.id]
    print(f"revoked {', '.join(kept.id for kept in which)}")
    if not found:
        print("no key is left: a web daemon that starts now ends with status 78", file=sys.stderr)
    return 0


def _place(arguments: argparse.Namespace) -> Path:
    path: Path | None = arguments.file or loaded(arguments).config.web.keys_file
    if path is None:
        raise BadKeys(f"no file of keys: set web.keys_file, or give --file (a unit's: {OF_HOST})")
    return path
