"""Every fault of a configuration, with its place."""

import re
from pathlib import Path

import pytest

from testkit.config.files import drop_in, faults, loaded
from visionfleet.config.constraints import CONSTRAINTS
from visionfleet.config.removed import REMOVED
from visionfleet.config.schema import settings

# text of the file; the one fault
ONE_FAULT = {
    "an integer out of range": (
        "web:\n  port: 70000\n",
        "vf.yaml:2:3: web.port: expected an integer from 1 to 65535, got 70000",
    ),
    "a number that is a string": (
        'web:\n  address: "::"\n  port: "8080"\n',
        'vf.yaml:3:3: web.port: expected an integer from 1 to 65535, got "8080"; write a plain '
        "number, without unit or quotes",
    ),
    "a number with a unit": (
        "queue:\n  retention_seconds: 5m\n",
        "vf.yaml:2:3: queue.retention_seconds: expected an integer from 60 to 1209600, got "
        '"5m"; write a plain number, without unit or quotes',
    ),
    "minutes and seconds, in YAML 1.1 a number": (
        "queue:\n  retention_seconds: 1:30\n",
        "vf.yaml:2:3: queue.retention_seconds: expected an integer from 60 to 1209600, got "
        '"1:30"; write a plain number, without unit or quotes',
    ),
    "a number that YAML 1.1 reads as octal": (
        "aws: {bucket_owner: 01234567012}\n",
        "vf.yaml:1:7: aws.bucket_owner: expected a string that matches ^[0-9]{12}$ or null, got "
        '"01234567012"',
    ),
    "an address with its port": (
        "web: {address: '0.0.0.0:8080'}\n",
        "vf.yaml:1:7: web.address: expected an IP address or a host name, without a port, got "
        '"0.0.0.0:8080"',
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
}


@pytest.mark.parametrize(("text", "fault"), ONE_FAULT.values(), ids=ONE_FAULT)
def test_fault_names_file_line_key_value_and_range(tmp_path: Path, text: str, fault: str) -> None:
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
    "model.path": f"model: {{path: 's3://b/k', labels: 's3://b/l', sha256: {'a' * 64}}}",
    "model.architecture": "model: {path: a, labels: b, architecture: x, sha256: " + "a" * 64 + "}",
}


def test_every_constraint_has_a_test_row() -> None:
    assert [constraint.keys[0] for constraint in CONSTRAINTS] == list(BROKEN) == list(KEPT)


@pytest.mark.parametrize(("key", "text"), BROKEN.items(), ids=BROKEN)
def test_broken_constraint_is_a_fault(tmp_path: Path, key: str, text: str) -> None:
    (fault,) = faults(tmp_path, text)
    sentence = next(each.sentence for each in CONSTRAINTS if each.keys[0] == key)
    assert re.fullmatch(rf"vf\.yaml:1:\d+: {re.escape(f'{key}: {sentence}')}", fault)


@pytest.mark.parametrize("text", KEPT.values(), ids=KEPT)
def test_constraint_met_exactly_is_no_fault(tmp_path: Path, text: str) -> None:
    loaded(tmp_path, text)


def test_constraint_broken_with_a_default_names_both_keys(tmp_path: Path) -> None:
    assert faults(tmp_path, "log: {}\nclassifier: {batch_size: 33}") == [
        "vf.yaml:2:14: classifier.prefetch: must not be less than classifier.batch_size"
    ]


@pytest.mark.parametrize(("key", "instead"), REMOVED.items(), ids=REMOVED)
def test_removed_key_is_a_fault_that_says_what_to_do(
    tmp_path: Path, key: str, instead: str
) -> None:
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


def test_all_faults_are_reported_at_once(tmp_path: Path) -> None:
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
        "environment VISIONFLEET_WEP: wep: unknown key; did you mean `VISIONFLEET_WEB`?",
        "vf.yaml:6:3: queue.visibility_timeout_seconds: must be more than queue.wait_seconds + 5, "
        "the read timeout of a receive",
        "vf.yaml:8:3: model.sha256: is required with model.path: sha256sum FILE prints it",
    ]


def test_name_of_the_hub_is_told_to_be_imported(tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, "model: {name: google/vit-base-patch16-224}")
    assert fault.endswith("imported first: visionfleet model import google/vit-base-patch16-224")


def test_constraint_with_a_faulty_key_is_skipped(tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, "scaler: {minimum: 50, maximum: 2000}")
    assert "scaler.maximum: expected" in fault
