"""Generates the shipped configuration file and the reference page from the schema. No I/O here."""

import re
import textwrap
from collections.abc import Iterator
from functools import reduce
from itertools import groupby
from operator import getitem

import yaml

from visionfleet.config.allowed_values import expectation, node_of
from visionfleet.config.fields import what_and_when
from visionfleet.config.schema import Config, settings

_WIDTH = 100
_FILE_HEAD = """\
visionfleet: every setting with its default. Omitted settings keep their defaults. Files in \
conf.d/ beside this one override it in the order of their names, and VISIONFLEET_<SECTION>__<KEY> \
in the environment overrides both. Credentials do not belong here: they come from the instance \
role or the environment. `make settings` writes this file, `visionfleet config check` reports \
every error."""
_PAGE_HEAD = """\
# Settings

This page is for operators: every setting, its default, its allowed values and when to change it.
`visionfleet config show` prints the settings in effect and where each was set, and
`visionfleet config check` every error. `make settings` generates this page from the schema.
"""


def written(value: object) -> str:
    """A value as YAML in one line, without document marks."""
    text: str = yaml.safe_dump([value], default_flow_style=True, width=10**9, allow_unicode=True)
    return text.strip()[1:-1]


def configuration_file() -> Iterator[str]:
    schema, defaults = Config.model_json_schema(), Config().model_dump(mode="json")
    yield from _comment(_FILE_HEAD, "")
    for section, keys in groupby(settings(), lambda key: key[:-1]):
        indent = "  " if section else ""
        yield ""
        if section:
            yield from (*_comment(node_of(schema, section)["description"], ""), f"{section[0]}:")
        for key in keys:
            what, _ = what_and_when(node_of(schema, key)["description"])
            may_be = expectation(schema, key)
            if " to " in may_be:  # other types are explained by the description
                what += f" {may_be[0].upper()}{may_be[1:]}."
            yield from _comment(what, indent)
            yield f"{indent}{key[-1]}: {written(reduce(getitem, key, defaults))}"


def settings_page() -> Iterator[str]:
    schema, defaults = Config.model_json_schema(), Config().model_dump(mode="json")
    yield from _PAGE_HEAD.splitlines()
    for section, keys in groupby(settings(), lambda key: key[:-1]):
        about = node_of(schema, section)["description"]
        yield from ("", f"## {section[0] if section else 'Top level'}", "", about, "")
        yield "| key | default | allowed values | meaning | change it if |"
        yield "| --- | --- | --- | --- | --- |"
        for key in keys:
            name, default = ".".join(key), written(reduce(getitem, key, defaults))
            may_be = re.sub(r"matches (\S+)", r"matches `\1`", expectation(schema, key))
            sentences = what_and_when(node_of(schema, key)["description"])
            cells = (f"`{name}`", f"`{default}`", may_be, *sentences)
            row = " | ".join(cell.replace("|", r"\|") for cell in cells)
            yield f"| {row} |"


def _comment(text: str, indent: str) -> list[str]:
    mark = f"{indent}# "
    return textwrap.wrap(
        text, _WIDTH, initial_indent=mark, subsequent_indent=mark, break_on_hyphens=False
    )
