"""What the user data of an EC2 instance asks of it: roles, and settings of its own. No I/O here.

It is YAML below a first line `#visionfleet`, which cloud-init leaves alone. Nothing is executed.
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

_KEYS = ("role", "visionfleet")
_EXPECTED = f"expected one or a list of {', '.join(UNITS)}"


@dataclass(frozen=True, slots=True)
class InstanceRoles:
    units: tuple[str, ...]
    settings: str


def read(data: bytes) -> InstanceRoles | None:
    """Read user data, None where it is not for us; raises BadConfig with all its faults."""
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
    return InstanceRoles(units, yaml.safe_dump(tree.get("visionfleet") or {}, sort_keys=False))


def _faults(settings: SourcedValues) -> Iterator[str]:
    for key, origin in settings.origins.items():
        if key[0] not in _KEYS:
            yield f"{origin}: {key[0]}: unknown key; known here: {', '.join(_KEYS)}"
        elif key[0] == "role":
            yield from _role_faults(key, settings.values[key], origin)
        elif key == ("visionfleet",) and settings.values[key] not in (None, {}):
            yield f"{origin}: visionfleet: expected sections with keys, as in visionfleet.yaml"
    if not settings.faults and not any(key[0] == "role" for key in settings.origins):
        yield f"{SOURCE}: role: missing; {_EXPECTED}"


def _role_faults(key: Key, value: object, origin: Origin) -> Iterator[str]:
    named = _listed(value)
    wrong = [role for role in named if not (isinstance(role, str) and role in UNITS)]
    if len(key) > 1 or wrong or not named:
        got = value if len(key) == 1 else "keys"
        yield f"{origin}: role: {_EXPECTED}, got {got}"


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]
