"""Parses the user data of an EC2 instance: roles, settings, and the stack to signal. No I/O here.

It is YAML below a first line `#visionfleet`, which cloud-init ignores. Nothing is executed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from visionfleet.config.yaml_source import Key, Origin, SourcedValues, read_text
from visionfleet.errors import BadConfig

FIRST_LINE = "#visionfleet"
SOURCE = "user data"
UNITS: Mapping[str, str] = {
    "web": "visionfleet-web.service",
    "scaler": "visionfleet-scaler.service",
    "worker": "visionfleet-classifiers.target",
}

_SETTINGS = ("settings", "visionfleet")
_KEYS = ("role", "settings", "signal", "visionfleet")
_SIGNAL = {("signal", "stack"), ("signal", "resource")}
_EXPECTED = f"expected one or a list of {', '.join(UNITS)}"


@dataclass(frozen=True, slots=True)
class StackSignal:
    stack: str
    resource: str


@dataclass(frozen=True, slots=True)
class InstanceRoles:
    """The deployment's settings (`visionfleet`) override the operator's (`settings`)."""

    units: tuple[str, ...]
    settings: str
    operator_settings: str = "{}\n"
    signal: StackSignal | None = None


def read(data: bytes) -> InstanceRoles | None:
    """Parse user data, None if it is not for us; raises BadConfig with all faults."""
    if data.partition(b"\n")[0].strip() != FIRST_LINE.encode():
        return None
    settings = SourcedValues()
    try:
        read_text(data.decode(), SOURCE, Path(), settings)
    except UnicodeDecodeError:
        raise BadConfig((f"{SOURCE}: it is not UTF-8",)) from None
    faults = (*settings.faults, *_faults(settings))
    if faults:
        raise BadConfig(faults)
    tree = settings.tree()
    wanted = _listed(tree["role"])
    units = tuple(unit for role, unit in UNITS.items() if role in wanted)
    operators, deployments = (yaml.safe_dump(tree.get(n) or {}, sort_keys=False) for n in _SETTINGS)
    return InstanceRoles(units, deployments, operators, _signal(settings))


def _faults(settings: SourcedValues) -> Iterator[str]:
    for key, origin in settings.origins.items():
        if key[0] not in _KEYS:
            yield f"{origin}: {key[0]}: unknown key; known here: {', '.join(_KEYS)}"
        elif key[0] == "role":
            yield from _role_faults(key, settings.values[key], origin)
        elif key[0] in _SETTINGS and len(key) == 1 and settings.values[key] not in (None, {}):
            yield f"{origin}: {key[0]}: expected sections with keys, as in visionfleet.yaml"
    yield from _signal_faults(settings)
    if not settings.faults and not any(key[0] == "role" for key in settings.origins):
        yield f"{SOURCE}: role: missing; {_EXPECTED}"


def _signal(settings: SourcedValues) -> StackSignal | None:
    given = {key[1]: str(value) for key, value in settings.values.items() if key[0] == "signal"}
    return StackSignal(**given) if given else None


def _signal_faults(settings: SourcedValues) -> Iterator[str]:
    given = {key: value for key, value in settings.values.items() if key[0] == "signal"}
    wrong = given.keys() != _SIGNAL or not all(isinstance(name, str) for name in given.values())
    if given and wrong:
        yield f"{SOURCE}: signal: expected the names of a stack and of a resource"


def _role_faults(key: Key, value: object, origin: Origin) -> Iterator[str]:
    named = _listed(value)
    wrong = [role for role in named if not (isinstance(role, str) and role in UNITS)]
    if len(key) > 1 or wrong or not named:
        got = value if len(key) == 1 else "keys"
        yield f"{origin}: role: {_EXPECTED}, got {got}"


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]
