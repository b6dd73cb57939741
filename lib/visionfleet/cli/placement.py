"""`visionfleet placement`: the classifiers of this machine, and their units for systemd."""

import argparse
import sys
from pathlib import Path

from visionfleet.cli.options import add_config, loaded
from visionfleet.cli.parser import Parser
from visionfleet.config import Config
from visionfleet.errors import BadConfig
from visionfleet.host.cpu_placement import drop_in
from visionfleet.host.cpu_topology import placed

_TEMPLATE = Path("/usr/lib/systemd/system/visionfleet-classifier@.service")
_POWER_OFF = _TEMPLATE.with_name("visionfleet-poweroff.path")


def add_arguments(parser: Parser) -> None:
    add_config(parser)
    parser.path(
        "--generate",
        "FOLDER",
        "write units there, as systemd's generator does at boot and at every daemon-reload",
    )


def run(arguments: argparse.Namespace) -> int:
    if arguments.generate is not None:
        _generate(_or_defaults(arguments), arguments.generate)
        return 0
    for place in placed(loaded(arguments).config.classifier):
        gpu = "" if place.gpu is None else f"  GPU {place.gpu}"
        print(f"visionfleet-classifier@{place.number}  CPUs {_listed(place.cpus)}{gpu}")
    return 0


def _or_defaults(arguments: argparse.Namespace) -> Config:
    try:
        return loaded(arguments).config
    except BadConfig as error:
        print(error, file=sys.stderr)
        return Config()


def _generate(config: Config, folder: Path) -> None:
    for place in placed(config.classifier):
        unit = f"visionfleet-classifier@{place.number}.service"
        _want("visionfleet-classifiers.target", unit, _TEMPLATE, folder)
        own = folder / f"{unit}.d"
        own.mkdir(exist_ok=True)
        (own / "50-placement.conf").write_text(drop_in(place))
    if config.classifier.ec2_instance:
        _want("visionfleet.target", _POWER_OFF.name, _POWER_OFF, folder)


def _want(target: str, unit: str, file: Path, folder: Path) -> None:
    wants = folder / f"{target}.wants"
    wants.mkdir(exist_ok=True)
    (wants / unit).symlink_to(file)


def _listed(numbers: tuple[int, ...]) -> str:
    """0-3,8 for 0, 1, 2, 3, 8."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ",".join(str(p[0]) if len(p) == 1 else f"{p[0]}-{p[-1]}" for p in parts)
