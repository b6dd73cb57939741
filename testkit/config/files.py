"""Configuration files for tests, loaded, and their faults."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from visionfleet.config import LoadedConfig, load
from visionfleet.errors import BadConfig


def config_file(folder: Path, text: str) -> Path:
    path = folder / "vf.yaml"
    path.write_text(text)
    return path


def loaded(folder: Path, text: str, environment: Mapping[str, str] | None = None) -> LoadedConfig:
    return load(config_file(folder, text), environment or {})


def faults(folder: Path, text: str, environment: Mapping[str, str] | None = None) -> list[str]:
    """Load what must be faulty; the folder is left out of the sentences."""
    with pytest.raises(BadConfig) as raised:
        loaded(folder, text, environment)
    return [fault.replace(f"{folder}/", "") for fault in raised.value.faults]


def drop_in(folder: Path, name: str, text: str) -> None:
    (folder / "conf.d").mkdir(exist_ok=True)
    (folder / "conf.d" / name).write_text(text)
