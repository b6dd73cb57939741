"""Loading the configuration: what is taken from where, and every fault with its place."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from visionfleet.config import Config, LoadedConfig, load
from visionfleet.config.constraints import CONSTRAINTS
from visionfleet.config.removed import REMOVED
from visionfleet.config.schema import settings
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


# text of the file; the one fault
ONE_FAULT = {
    "an integer out of range": (
        "web:\n  port: 70000\n",
        "vf.yaml:2:3: web.port: expected an integer from 1 to 65535, got 70000",
    ),
    "a number that is a string": (
        'web:\n  address: "::"\n  port: "8080"\n',
        'vf.yaml:3:3: web.port: expected an integer from 1 to 65535, got "8080"',
    ),
    "a bool where a number belongs": (
        "scaler: {minimum: yes}",
        "vf.yaml:1:10: scaler.minimum: expected an integer from 0 to 1000, got true",
    ),
    "a bool-like string where a bool belongs": (
        'results:\n  by_name: "yes"\n',
        'vf.yaml:2:3: results.by_name: expected true or false, got "yes"',
    ),
    "a bool-like word that YAML reads as a bool": (
        "aws:\n  region: on\n",
        "vf.yaml:2:3: aws.region: expected a string that is not empty, got true",
    ),
    "a fraction where an integer belongs": (
        "model:\n  threads: 2.5\n",
        "vf.yaml:2:3: model.threads: expected an integer from 1 to 256 or null, got 2.5",
    ),
    "not a number": (
        "web:\n  stop_seconds: .nan\n",
        "vf.yaml:2:3: web.stop_seconds: expected a number from 0 to 600, got NaN",
    ),
    "a setting left empty": (
        "web:\n  port:\n",
        "vf.yaml:2:3: web.port: expected an integer from 1 to 65535, got null",
    ),
    "a setting of the top left empty": (
        "name:\n",
        "vf.yaml:1:1: name: expected a string that matches ^[a-z0-9][a-z0-9-]{0,30}$, got null",
    ),
    "keys below a setting": (
        "web:\n  port:\n    number: 1\n",
        'vf.yaml:3:5: web.port: expected an integer from 1 to 65535, got {"number": 1}',
    ),
    "no keys below a setting": (
        "web:\n  port: {}\n",
        "vf.yaml:2:3: web.port: expected an integer from 1 to 65535, got {}",
    ),
    "a value in place of a section": (
        "web: 8080\n",
        "vf.yaml:1:1: web: expected a section with keys of its own, got 8080",
    ),
    "a list that holds itself": (
        "web:\n  port: &a [*a]\n",
        'vf.yaml:2:3: web.port: expected an integer from 1 to 65535, got "something odd"',
    ),
    "a long value": (
        f"web:\n  port: {'x' * 300}\n",
        'vf.yaml:2:3: web.port: expected an integer from 1 to 65535, got "' + "x" * 199 + "...",
    ),
    "a key that no JSON has": (
        "web:\n  port: [{2026-01-01: a}]\n",
        "vf.yaml:2:3: web.port: expected an integer from 1 to 65535, "
        "got [{datetime.date(2026, 1, 1): 'a'}]",
    ),
    "one of a few words": (
        "log: {level: LOUD}\n",
        'vf.yaml:1:7: log.level: expected one of DEBUG, INFO, WARNING, ERROR, got "LOUD"',
    ),
    "a number or a word": (
        "scaler: {maximum: many}\n",
        'vf.yaml:1:10: scaler.maximum: expected an integer from 1 to 1000 or cores, got "many"',
    ),
    "a word that is not in a list": (
        "images: {formats: [JPEG, JPG]}\n",
        "vf.yaml:1:10: images.formats: expected a list of one of AVIF, BMP, GIF, HEIF, JPEG, PNG, "
        'TIFF, WEBP, got "JPG"',
    ),
    "a date that is none": (
        "web:\n  port: 2026-99-99\n",
        'vf.yaml:2:3: web.port: expected an integer from 1 to 65535, got "2026-99-99"',
    ),
    "a tag that does not fit": (
        "web:\n  port: !!int many\n",
        'vf.yaml:2:3: web.port: expected an integer from 1 to 65535, got "many"',
    ),
    "an unknown key near a known one": (
        "web:\n  prot: 1\n",
        "vf.yaml:2:3: web.prot: unknown key; did you mean `port`?",
    ),
    "an unknown key near none": (
        "results:\n  zzz: 1\n",
        "vf.yaml:2:3: results.zzz: unknown key; known here: by_name",
    ),
    "an unknown section": (
        "scalar:\n  minimum: 1\n",
        "vf.yaml:2:3: scalar: unknown key; did you mean `scaler`?",
    ),
    "an unknown empty section": (
        "scalar:\n",
        "vf.yaml:1:1: scalar: unknown key; did you mean `scaler`?",
    ),
    "a key set twice": (
        "web:\n  port: 1\n  address: a\n  port: 2\n",
        "vf.yaml:4:3: web.port: set twice, first in line 2",
    ),
    "a section set twice": (
        "web: {port: 1}\nlog: {}\nweb: {cache: true}\n",
        "vf.yaml:3:1: web: set twice, first in line 1",
    ),
    "a tab": (
        "web:\n\tport: 1\n",
        "vf.yaml:2:1: not YAML: found character '\\t' that cannot start any token",
    ),
    "a bracket left open": (
        "images: {formats: [JPEG\n",
        "vf.yaml:2:1: not YAML: expected ',' or ']', but got '<stream end>'",
    ),
    "two documents": (
        "name: a\n---\nname: b\n",
        "vf.yaml:2:1: not YAML: but found another document",
    ),
    "a character that no YAML has": (
        "name: a\x00b\n",
        "vf.yaml: not YAML: unacceptable character #x0000: special characters are not allowed",
    ),
    "a list": (
        "- web\n",
        "vf.yaml: expected sections with keys, like `web:` and `port: 8080`",
    ),
    "an alias that holds itself": (
        "web: &web\n  port: *web\n",
        "vf.yaml: not YAML that can be read: it is nested too deeply",
    ),
}


@pytest.mark.parametrize(("text", "fault"), ONE_FAULT.values(), ids=ONE_FAULT)
def test_one_fault(tmp_path: Path, text: str, fault: str) -> None:
    assert faults(tmp_path, text) == [fault]


# settings that break it; the key it is reported at
BROKEN = {
    "queue.visibility_timeout_seconds": "queue: {visibility_timeout_seconds: 25, wait_seconds: 20}",
    "classifier.max_processing_seconds": "classifier: {max_processing_seconds: 59}",
    "classifier.prefetch": "classifier: {batch_size: 33}",
    "classifier.cpus_per_worker": "classifier: {cpus_per_worker: 1, ec2_instance: true}",
    "web.tls_certificate": "web: {tls_certificate: a.crt}",
    "classifier.report_seconds": "{classifier: {report_seconds: 61}, web: {cache: true}}",
    "scaler.minimum": "scaler: {minimum: 20}",
    "ec2.launch_template": "scaler: {fleet: ec2}",
    "scaler.maximum": "{scaler: {fleet: ec2, maximum: cores}, ec2: {launch_template: workers}}",
    "scaler.lease_seconds": "scaler: {lease_seconds: 15}",
    "model.crop": "model: {crop: 257}",
    "model.sha256": "model: {path: a.pt, labels: a.txt}",
    "model.labels": f"model: {{path: a.pt, sha256: {'a' * 64}}}",
    "model.path": f"model: {{path: a.pt, labels: 's3://bucket', sha256: {'a' * 64}}}",
    "model.architecture": "model: {architecture: resnet18}",
}
KEPT = {
    "queue.visibility_timeout_seconds": "queue: {visibility_timeout_seconds: 26, wait_seconds: 20}",
    "classifier.max_processing_seconds": "classifier: {max_processing_seconds: 60}",
    "classifier.prefetch": "classifier: {batch_size: 32}",
    "classifier.cpus_per_worker": "classifier: {cpus_per_worker: 1}",
    "web.tls_certificate": "web: {tls_certificate: a.crt, tls_key: a.key}",
    "classifier.report_seconds": "{classifier: {report_seconds: 60}, web: {cache: true}}",
    "scaler.minimum": "scaler: {minimum: 19}",
    "ec2.launch_template": "{scaler: {fleet: ec2}, ec2: {launch_template: lt-0123456789abcdef0}}",
    "scaler.maximum": "scaler: {fleet: supervisor, maximum: cores}",
    "scaler.lease_seconds": "scaler: {lease_seconds: 16}",
    "model.crop": "model: {crop: 256}",
    "model.sha256": f"model: {{path: a.pt, labels: a.txt, sha256: {'a' * 64}}}",
    "model.labels": f"model: {{path: a.pt, labels: a.txt, sha256: {'a' * 64}}}",
    "model.path": f"model: {{path: 's3://b/k', labels: 's3://b/l', sha256: {'a' * 64}}}",
    "model.architecture": "model: {path: a, labels: b, architecture: x, sha256: " + "a" * 64 + "}",
}


def test_every_constraint_has_a_row() -> None:
    assert [constraint.keys[0] for constraint in CONSTRAINTS] == list(BROKEN) == list(KEPT)


@pytest.mark.parametrize(("key", "text"), BROKEN.items(), ids=BROKEN)
def test_a_broken_constraint(tmp_path: Path, key: str, text: str) -> None:
    (fault,) = faults(tmp_path, text)
    sentence = next(each.sentence for each in CONSTRAINTS if each.keys[0] == key)
    assert re.fullmatch(rf"vf\.yaml:1:\d+: {re.escape(f'{key}: {sentence}')}", fault)


@pytest.mark.parametrize("text", KEPT.values(), ids=KEPT)
def test_a_constraint_kept_by_a_hair(tmp_path: Path, text: str) -> None:
    loaded(tmp_path, text)


def test_a_constraint_that_breaks_with_a_default_names_the_other_key(tmp_path: Path) -> None:
    assert faults(tmp_path, "log: {}\nclassifier: {batch_size: 33}") == [
        "vf.yaml:2:14: classifier.prefetch: must not be less than classifier.batch_size"
    ]


@pytest.mark.parametrize(("key", "instead"), REMOVED.items(), ids=REMOVED)
def test_a_removed_key_is_told_with_what_to_do(tmp_path: Path, key: str, instead: str) -> None:
    name, _, value = key.partition(": ")
    section, _, below = name.partition(".")
    assert ((section, below) in settings()) == bool(value), "gone, or a value of it is"
    variable = f"VISIONFLEET_{section}__{below}".upper()
    text = f"{section}: {{{below}: {value or 1}}}"
    at = f"1:{len(section) + 4}"
    assert faults(tmp_path, text) == [f"vf.yaml:{at}: {key}: {instead}"]
    drop_in(tmp_path, "a.yaml", text)
    assert faults(tmp_path, "") == [f"conf.d/a.yaml:{at}: {key}: {instead}"]
    (tmp_path / "conf.d" / "a.yaml").unlink()
    environment = {variable: value or "1"}
    assert faults(tmp_path, "", environment) == [f"environment {variable}: {key}: {instead}"]


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    text = (
        "web:\n  port: 0\n  prot: 1\n  port: 8080\n"
        "queue:\n  visibility_timeout_seconds: 10\n"
        "model:\n  path: a.pt\n  crop: wide\n"
    )
    found = faults(tmp_path, text, {"VISIONFLEET_LOG__LEVEL": "LOUD", "VISIONFLEET_WEP": "1"})
    assert found == [
        "vf.yaml:4:3: web.port: set twice, first in line 2",
        "vf.yaml:3:3: web.prot: unknown key; did you mean `port`?",
        'vf.yaml:9:3: model.crop: expected an integer from 8 to 4096, got "wide"',
        "environment VISIONFLEET_LOG__LEVEL: log.level: expected one of DEBUG, INFO, WARNING, "
        'ERROR, got "LOUD"',
        "environment VISIONFLEET_WEP: wep: unknown key; did you mean `web`?",
        "vf.yaml:6:3: queue.visibility_timeout_seconds: must be more than queue.wait_seconds + 5, "
        "the read timeout of a receive",
        "vf.yaml:8:3: model.sha256: is required with model.path: sha256sum FILE prints it",
        "vf.yaml:8:3: model.labels: is required with model.path: a file with one label a line",
    ]


def test_a_constraint_is_left_out_when_one_of_its_keys_is_faulty(tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, "scaler: {minimum: 50, maximum: 2000}")
    assert "scaler.maximum: expected" in fault


@pytest.mark.parametrize("text", ["", "# nothing\n", "web:\n", "web: {}\n", "---\n"])
def test_nothing_said_means_the_defaults(tmp_path: Path, text: str) -> None:
    assert loaded(tmp_path, text).config == Config()


def test_an_empty_section_takes_nothing_back(tmp_path: Path) -> None:
    config_file(tmp_path, "web: {port: 1234}")
    drop_in(tmp_path, "a.yaml", "web:\n")
    drop_in(tmp_path, "b.yaml", "web: {}\n")
    assert load(tmp_path / "vf.yaml", {}).config.web.port == 1234


def drop_in(folder: Path, name: str, text: str) -> None:
    (folder / "conf.d").mkdir(exist_ok=True)
    (folder / "conf.d" / name).write_text(text)


def test_drop_ins_are_merged_in_the_order_of_their_names(tmp_path: Path) -> None:
    drop_in(tmp_path, "20-late.yaml", "web: {port: 2}\n")
    drop_in(tmp_path, "10-early.yaml", "web: {port: 1, max_waiting: 5}\n")
    drop_in(tmp_path, "30-other.yml.bak", "web: {port: 3}\n")
    found = loaded(tmp_path, "web: {port: 9, max_waiting: 9, stop_seconds: 9}\n")
    web = found.config.web
    assert (web.port, web.max_waiting, web.stop_seconds) == (2, 5, 9)
    assert [path.name for path in found.files] == ["vf.yaml", "10-early.yaml", "20-late.yaml"]
    assert str(found.origins["web", "port"]) == f"{tmp_path}/conf.d/20-late.yaml:1:7"


def test_a_fault_is_placed_in_the_drop_in_that_made_it(tmp_path: Path) -> None:
    drop_in(tmp_path, "10.yaml", "\nweb: {port: 0}\n")
    (fault,) = faults(tmp_path, "web: {port: 8080}\n")
    assert fault.startswith("conf.d/10.yaml:2:7: web.port: expected")


def test_a_section_that_is_a_value_is_a_fault_though_a_drop_in_mends_it(tmp_path: Path) -> None:
    drop_in(tmp_path, "10.yaml", "web: {port: 8081}\n")
    (fault,) = faults(tmp_path, "web: 8080\n")
    assert fault == "vf.yaml:1:1: web: expected a section with keys of its own, got 8080"


def test_the_environment_is_over_all_files(tmp_path: Path) -> None:
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


@pytest.mark.parametrize("text", ["{", "2026-99-99", "!!int many"])
def test_a_variable_that_is_not_yaml_is_taken_as_text(tmp_path: Path, text: str) -> None:
    (fault,) = faults(tmp_path, "", {"VISIONFLEET_WEB__PORT": text})
    assert fault.startswith("environment VISIONFLEET_WEB__PORT: web.port: expected an integer")


def test_relative_paths_start_at_the_file_that_names_them(tmp_path: Path) -> None:
    digest = "a" * 64
    drop_in(tmp_path, "a.yaml", "model: {labels: ../names.txt}\n")
    found = loaded(tmp_path, f"model: {{path: m/a.pt, directory: /abs, sha256: {digest}}}\n").config
    assert found.model.path == str(tmp_path / "m" / "a.pt")
    assert found.model.labels == str(tmp_path / "names.txt")
    assert found.model.directory == Path("/abs")


def test_relative_paths_of_the_environment_start_at_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    environment = {"VISIONFLEET_MODEL__DIRECTORY": "here", "VISIONFLEET_SUPERVISOR__SOCKET": "~/s"}
    config = loaded(tmp_path, "", environment).config
    assert config.model.directory == tmp_path / "here"
    assert config.supervisor.socket == Path.home() / "s"


def test_a_link_to_a_file_keeps_its_name(tmp_path: Path) -> None:
    (tmp_path / "v1.txt").touch()
    (tmp_path / "current.txt").symlink_to("v1.txt")
    text = f"model: {{path: /m.pt, sha256: {'a' * 64}, labels: x/../current.txt}}"
    (tmp_path / "x").mkdir()
    assert loaded(tmp_path, text).config.model.labels == str(tmp_path / "current.txt")


def test_an_address_in_s3_is_no_path(tmp_path: Path) -> None:
    text = f"model: {{path: 's3://b/x/../m.pt', sha256: {'a' * 64}, labels: 's3://b/l.txt'}}"
    model = loaded(tmp_path, text).config.model
    assert (model.path, model.labels) == ("s3://b/x/../m.pt", "s3://b/l.txt")


def test_without_a_path_the_environment_names_the_file(tmp_path: Path) -> None:
    path = config_file(tmp_path, "web: {port: 5}")
    assert load(None, {"VISIONFLEET_CONFIG": str(path)}).config.web.port == 5


def test_a_missing_file_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(BadConfig) as raised:
        load(tmp_path / "none.yaml", {"VISIONFLEET_WEB__PORT": "0"})
    assert raised.value.faults == (
        f"{tmp_path}/none.yaml: cannot be read: No such file or directory",
        "environment VISIONFLEET_WEB__PORT: web.port: expected an integer from 1 to 65535, got 0",
    )


def test_bytes_that_are_not_text_are_a_fault(tmp_path: Path) -> None:
    (tmp_path / "vf.yaml").write_bytes(b"name: \xff\n")
    with pytest.raises(BadConfig, match=r"vf.yaml: cannot be read: it is not UTF-8"):
        load(tmp_path / "vf.yaml", {})
