"""Guesses what was meant by a faulty setting. No I/O here."""

import difflib
import re

from visionfleet.config.schema import keys_below, settings
from visionfleet.config.yaml_source import Key

# `5m`, `20 MB`, and digits that are text.
_NUMBER_AND_UNIT = re.compile(r"[0-9][0-9_.,:]*\s*[A-Za-z%]*")


def similar_setting(key: Key) -> Key | None:
    """The setting or section most like an unknown one: beside it, else in another section."""
    siblings = keys_below(key[:-1])
    spelt = {_plain(name): name for name in siblings}
    if near := difflib.get_close_matches(_plain(key[-1]), spelt, n=1):
        return (*key[:-1], spelt[near[0]])
    whole = {_plain("_".join(known)): known for known in settings()}
    if named := whole.get(_plain("_".join(key))):
        return named
    elsewhere = [known for known in settings() if known[-1] == _plain(key[-1])]
    return elsewhere[0] if len(elsewhere) == 1 else None


def number_hint(expected: str, given: object) -> str:
    is_number = expected.startswith(("an integer", "a number"))
    if is_number and isinstance(given, str) and _NUMBER_AND_UNIT.fullmatch(given):
        return "; write a plain number, without unit or quotes"
    return ""


def _plain(name: str) -> str:
    """`sharePort`, `share-port` and `SHARE_PORT` are `share_port`."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return re.sub(r"[^a-z0-9]+", "_", words.casefold()).strip("_")
