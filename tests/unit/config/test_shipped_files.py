"""The shipped configuration files and the reference page against the schema."""

from pathlib import Path

import pytest
import yaml

from testkit import ROOT
from visionfleet.config import Config, load
from visionfleet.config.fields import what_and_when
from visionfleet.config.reference import configuration_file, settings_page
from visionfleet.config.schema import settings

ETC = ROOT / "etc"
WHOLE = ETC / "visionfleet.yaml"


def test_generated_settings_files_are_current() -> None:
    """`make settings` writes them."""
    assert WHOLE.read_text().splitlines() == list(configuration_file())
    assert (ROOT / "docs/settings.md").read_text().splitlines() == list(settings_page())


def test_shipped_file_has_every_setting_with_its_default() -> None:
    written = yaml.safe_dump(yaml.safe_load(WHOLE.read_text()), sort_keys=False)
    assert written == yaml.safe_dump(Config().model_dump(mode="json"), sort_keys=False)


def test_settings_are_at_most_87_and_each_is_described() -> None:
    """The 87th is scaler.prices_file."""
    assert len(settings()) <= 87
    for key, field in settings().items():
        for sentence in what_and_when(str(field.description)):
            assert sentence.endswith("."), key
            assert sentence[0] in "`f" or sentence[0].isupper(), key


def test_local_file_has_only_what_differs() -> None:
    default = Config().model_dump(mode="json")
    for section, values in yaml.safe_load((ETC / "local.yaml").read_text()).items():
        for name, value in values.items():
            assert default[section][name] != value, f"{section}.{name} is the default"


@pytest.mark.parametrize("path", [WHOLE, ETC / "local.yaml"], ids=lambda path: path.name)
def test_shipped_files_load(path: Path) -> None:
    load(path, {})


def test_local_file_paths_are_in_the_working_copy() -> None:
    config = load(ETC / "local.yaml", {}).config
    assert config.supervisor.socket == ETC.parent / "var" / "supervisor.sock"
