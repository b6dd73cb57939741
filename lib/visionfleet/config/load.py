"""Loads the configuration: defaults, then the file, its drop-ins, and the environment."""

import json
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from visionfleet.config.allowed_values import expectation
from visionfleet.config.constraints import CONSTRAINTS
from visionfleet.config.hints import number_hint, similar_setting
from visionfleet.config.removed import REMOVED
from visionfleet.config.schema import Config, keys_below, path_keys
from visionfleet.config.yaml_source import Key, Origin, SourcedValues, read_file, read_value
from visionfleet.errors import BadConfig

PREFIX = "VISIONFLEET_"
CONFIG_VARIABLE = "VISIONFLEET_CONFIG"
DEFAULT_PATH = Path("/etc/visionfleet/visionfleet.yaml")
_ENVIRONMENT = "environment "
_SHOWN_LENGTH = 200
_HOW = (
    "there is none; name one by --config or VISIONFLEET_CONFIG (`visionfleet config defaults` "
    "prints one to begin with)"
)


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    config: Config
    files: tuple[Path, ...]
    origins: Mapping[Key, Origin]


def load(path: Path | None, environment: Mapping[str, str]) -> LoadedConfig:
    """Raises BadConfig with all faults: where, which key, what was expected, what came."""
    given, path = path, path_of(path, environment)
    if given is None and CONFIG_VARIABLE not in environment and not path.exists():
        raise BadConfig((f"{path}: {_HOW}",))
    files = (path, *sorted((path.parent / "conf.d").glob("*.yaml")))
    settings = SourcedValues()
    for file in files:
        read_file(file, settings)
    _read_environment(environment, settings)
    _forget_empty_sections(settings)
    _anchor_paths(settings)
    config = _check(settings)
    return LoadedConfig(config, files, settings.origins)


def path_of(path: Path | None, environment: Mapping[str, str]) -> Path:
    """The file to load; None means VISIONFLEET_CONFIG or `DEFAULT_PATH`."""
    return path or Path(environment.get(CONFIG_VARIABLE, DEFAULT_PATH))


def _read_environment(environment: Mapping[str, str], into: SourcedValues) -> None:
    for variable, text in sorted(environment.items()):
        if not variable.startswith(PREFIX) or variable == CONFIG_VARIABLE:
            continue
        key = tuple(variable.removeprefix(PREFIX).lower().split("__"))
        into.put(key, read_value(text), Origin(_ENVIRONMENT + variable))


def _forget_empty_sections(settings: SourcedValues) -> None:
    """Drop an empty `web:`; unknown sections stay, to be reported."""
    for key, value in list(settings.values.items()):
        if len(key) == 1 and value in (None, {}) and keys_below(key):
            del settings.values[key]


def _anchor_paths(settings: SourcedValues) -> None:
    for key in path_keys():
        value, origin = settings.values.get(key), settings.origins.get(key)
        if isinstance(value, str) and origin is not None and not value.startswith("s3://"):
            settings.values[key] = str(_anchored(Path(value).expanduser(), origin.directory))


def _anchored(path: Path, directory: Path) -> Path:
    """Resolve `..` in the path, but not a link at its end."""
    whole = directory / path
    return path if path.is_absolute() else whole.parent.resolve() / whole.name


def _check(settings: SourcedValues) -> Config:
    """Validate; faulty keys are reported and set to their default, so that the rest is checked."""
    errors = _errors(settings.tree())
    faults = list(settings.faults)
    for key, error in errors.items():
        origin = _origin(settings, key)
        faults.append(f"{origin}: {_sentence(error, key, origin)}")
    config = _without(settings, errors.keys())
    faults += _broken_constraints(config, settings, errors.keys())
    if faults:
        raise BadConfig(tuple(dict.fromkeys(faults)))
    return config


def _errors(tree: dict[str, object]) -> dict[Key, ErrorDetails]:
    """The first error of each setting: a union reports one for each of its members."""
    found: dict[Key, ErrorDetails] = {}
    try:
        Config.model_validate(tree)
    except ValidationError as error:
        for detail in error.errors():
            found.setdefault(tuple(map(str, detail["loc"]))[:2], detail)
    return found


def _without(settings: SourcedValues, faulty: Set[Key]) -> Config:
    rest = SourcedValues()
    for key, value in settings.values.items():
        if not any(key[: len(bad)] == bad for bad in faulty):
            rest.put(key, value, settings.origins[key])
    return Config.model_validate(rest.tree())


def _origin(settings: SourcedValues, key: Key) -> Origin:
    """Where a key was set; for an unknown section, where its first key was."""
    for candidate, origin in settings.origins.items():
        if candidate[: len(key)] == key:
            return origin
    return Origin("configuration")


def _sentence(error: ErrorDetails, key: Key, origin: Origin) -> str:
    dotted = ".".join(key)
    given = error["input"]
    for removed in (dotted, f"{dotted}: {given}" if isinstance(given, str) else dotted):
        if removed in REMOVED:
            return f"{removed}: {REMOVED[removed]}"
    if error["type"] == "extra_forbidden":
        return f"{dotted if dotted.isprintable() else ascii(dotted)}: {_unknown(key, origin)}"
    expected = expectation(Config.model_json_schema(), key)
    reason = f"; {error['ctx']['error']}" if error["type"] == "value_error" else ""
    reason += number_hint(expected, given)
    return f"{dotted}: expected {expected}, got {_shown(given)}{reason}"


def _unknown(key: Key, origin: Origin) -> str:
    near = similar_setting(key)
    if near is None:
        return f"unknown key; known here: {', '.join(keys_below(key[:-1]))}"
    meant = near[-1] if near[:-1] in {(), key[:-1]} else f"{near[-1]}` below `{near[0]}:"
    if origin.source.startswith(_ENVIRONMENT):
        rest = origin.source.removeprefix(_ENVIRONMENT + PREFIX).split("__")[len(key) :]
        meant = PREFIX + "__".join((*near, *rest)).upper()
    return f"unknown key; did you mean `{meant}`?"


def _shown(value: object) -> str:
    text = ""
    try:  # in pieces: aliases of aliases can make gigabytes
        for piece in json.JSONEncoder(default=str).iterencode(value):
            text += piece
            if len(text) > _SHOWN_LENGTH:
                return f"{text[:_SHOWN_LENGTH]}..."
    except (TypeError, ValueError):  # keys impossible in JSON, or a recursive list
        text = repr(value)
    return text if len(text) <= _SHOWN_LENGTH else f"{text[:_SHOWN_LENGTH]}..."


def _broken_constraints(config: Config, settings: SourcedValues, faulty: Set[Key]) -> Iterator[str]:
    names = {".".join(key) for key in faulty} | {key[0] for key in faulty if len(key) == 1}
    for constraint in CONSTRAINTS:
        touched = set(constraint.keys) | {key.split(".", 1)[0] for key in constraint.keys}
        if not touched & names and constraint.broken(config):
            keys = [tuple(key.split(".")) for key in constraint.keys]
            key = next((key for key in keys if key in settings.origins), keys[0])
            yield f"{_origin(settings, key)}: {constraint.keys[0]}: {constraint.sentence}"
