"""Loading the configuration: what is taken from where."""

from pathlib import Path

import pytest

from testkit.config.files import config_file, drop_in, faults, loaded
from visionfleet.config import Config, load
from visionfleet.errors import BadConfig


@pytest.mark.parametrize("text", ["", "# nothing\n", "web:\n", "web: {}\n", "---\n"])
def test_empty_configuration_means_the_defaults(tmp_path: Path, text: str) -> None:
    assert loaded(tmp_path, text).config == Config()


def test_empty_section_in_a_drop_in_keeps_earlier_values(tmp_path: Path) -> None:
    config_file(tmp_path, "web: {port: 1234}")
    drop_in(tmp_path, "a.yaml", "web:\n")
    drop_in(tmp_path, "b.yaml", "web: {}\n")
    assert load(tmp_path / "vf.yaml", {}).config.web.port == 1234


def test_drop_ins_are_merged_in_name_order(tmp_path: Path) -> None:
    drop_in(tmp_path, "20-late.yaml", "web: {port: 2}\n")
    drop_in(tmp_path, "10-early.yaml", "web: {port: 1, max_waiting: 5}\n")
    drop_in(tmp_path, "30-other.yml.bak", "web: {port: 3}\n")
    found = loaded(tmp_path, "web: {port: 9, max_waiting: 9, stop_seconds: 9}\n")
    web = found.config.web
    assert (web.port, web.max_waiting, web.stop_seconds) == (2, 5, 9)
    assert [path.name for path in found.files] == ["vf.yaml", "10-early.yaml", "20-late.yaml"]
    assert str(found.origins["web", "port"]) == f"{tmp_path}/conf.d/20-late.yaml:1:7"


def test_fault_names_the_drop_in_that_made_it(tmp_path: Path) -> None:
    drop_in(tmp_path, "10.yaml", "\nweb: {port: 0}\n")
    (fault,) = faults(tmp_path, "web: {port: 8080}\n")
    assert fault.startswith("conf.d/10.yaml:2:7: web.port: expected")


def test_scalar_section_is_a_fault_even_if_a_drop_in_fixes_it(tmp_path: Path) -> None:
    drop_in(tmp_path, "10.yaml", "web: {port: 8081}\n")
    (fault,) = faults(tmp_path, "web: 8080\n")
    assert fault == "vf.yaml:1:1: web: expected a section with keys of its own, got 8080"


def test_environment_overrides_all_files(tmp_path: Path) -> None:
    environment = {
        "VISIONFLEET_WEB__PORT": "7",
        "VISIONFLEET_NAME": "other",
        "VISIONFLEET_AWS__ENDPOINT_URL": "null",
        "VISIONFLEET_IMAGES__FORMATS": "[PNG, GIF]",
        "VISIONFLEET_CONFIG": "/nowhere/else.yaml",
        "VISIONFLEETX": "no business of ours",
    }
    found = loaded(tmp_path, "web: {port: 9}\naws: {endpoint_url: http://x}", environment)
    assert (found.config.web.port, found.config.name) == (7, "other")
    assert found.config.images.formats == ("PNG", "GIF")
    assert found.config.aws.endpoint_url is None
    assert str(found.origins["web", "port"]) == "environment VISIONFLEET_WEB__PORT"


@pytest.mark.parametrize("address", ["::", "::1", "fe80::1%eth0", "::ffff:1.2.3.4", "localhost"])
def test_addresses_and_names_can_be_listened_on(tmp_path: Path, address: str) -> None:
    text = f"web: {{address: '{address}'}}\nmetrics: {{address: '{address}'}}"
    config = loaded(tmp_path, text).config
    assert (config.web.address, config.metrics.address) == (address, address)


@pytest.mark.parametrize("account", ["012345670123", "123456789012", "'012345670123'"])
def test_account_needs_no_quotes(tmp_path: Path, account: str) -> None:
    config = loaded(tmp_path, f"aws: {{bucket_owner: {account}}}").config
    assert config.aws.bucket_owner == account.strip("'")


@pytest.mark.parametrize("text", ["{", "2026-99-99", "!!int many"])
def test_variable_that_is_not_yaml_is_text(tmp_path: Path, text: str) -> None:
    (fault,) = faults(tmp_path, "", {"VISIONFLEET_WEB__PORT": text})
    assert fault.startswith("environment VISIONFLEET_WEB__PORT: web.port: expected an integer")


def test_relative_paths_start_at_their_file(tmp_path: Path) -> None:
    digest = "a" * 64
    drop_in(tmp_path, "a.yaml", "model: {labels: ../names.txt}\n")
    found = loaded(tmp_path, f"model: {{path: m/a.pt, directory: /abs, sha256: {digest}}}\n").config
    assert found.model.path == str(tmp_path / "m" / "a.pt")
    assert found.model.labels == str(tmp_path / "names.txt")
    assert found.model.directory == Path("/abs")


def test_relative_paths_in_variables_start_at_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    environment = {"VISIONFLEET_MODEL__DIRECTORY": "here", "VISIONFLEET_SUPERVISOR__SOCKET": "~/s"}
    config = loaded(tmp_path, "", environment).config
    assert config.model.directory == tmp_path / "here"
    assert config.supervisor.socket == Path.home() / "s"


def test_symbolic_links_are_not_resolved(tmp_path: Path) -> None:
    (tmp_path / "v1.txt").touch()
    (tmp_path / "current.txt").symlink_to("v1.txt")
    text = f"model: {{path: /m.pt, sha256: {'a' * 64}, labels: x/../current.txt}}"
    (tmp_path / "x").mkdir()
    assert loaded(tmp_path, text).config.model.labels == str(tmp_path / "current.txt")


def test_s3_address_is_not_made_a_path(tmp_path: Path) -> None:
    text = f"model: {{path: 's3://b/x/../m.pt', sha256: {'a' * 64}, labels: 's3://b/l.txt'}}"
    model = loaded(tmp_path, text).config.model
    assert (model.path, model.labels) == ("s3://b/x/../m.pt", "s3://b/l.txt")


def test_configuration_path_comes_from_the_environment(tmp_path: Path) -> None:
    path = config_file(tmp_path, "web: {port: 5}")
    assert load(None, {"VISIONFLEET_CONFIG": str(path)}).config.web.port == 5


def test_missing_file_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(BadConfig) as raised:
        load(tmp_path / "none.yaml", {"VISIONFLEET_WEB__PORT": "0"})
    assert raised.value.faults == (
        f"{tmp_path}/none.yaml: cannot be read: No such file or directory",
        "environment VISIONFLEET_WEB__PORT: web.port: expected an integer from 1 to 65535, got 0",
    )


def test_file_that_is_not_utf8_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "vf.yaml").write_bytes(b"log: {}\nname: \xff\n")
    with pytest.raises(BadConfig, match=r"vf.yaml:2: cannot be read: it is not UTF-8"):
        load(tmp_path / "vf.yaml", {})


def test_default_is_another_name_of_the_default_model(tmp_path: Path) -> None:
    named = loaded(tmp_path, "model: {name: default}\n").config
    assert named.model.name == Config().model.name == "efficientnet_lite0"
