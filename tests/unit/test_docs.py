"""The documents say what is true: links, commands, settings, routes and names that exist."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from testkit import ROOT
from visionfleet.config.removed import REMOVED
from visionfleet.config.schema import Config
from visionfleet.contract import names

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("models/*.md")])
PATHS = re.compile(
    r"(?<!/)\b((?:lib|daemons|tests|etc|models|docs|bench|cloudformation|packer|systemd)/[\w./-]+\.(?:py|ya?ml|md|conf))"
)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_paths_lead_somewhere(document: Path) -> None:
    text = document.read_text()
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    missing = [link for link in links if not (document.parent / link).exists()]
    missing += [path for path in PATHS.findall(text) if not (ROOT / path).exists()]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_make_targets_exist(document: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", document.read_text(), re.MULTILINE))
    assert named <= targets


def subcommands() -> set[str]:
    command = [str(Path(sys.executable).with_name("visionfleet")), "--help"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"^    ([a-z-]+)", text, re.MULTILINE))


def test_subcommands_exist() -> None:
    known = subcommands()
    assert "classify" in known
    for document in DOCUMENTS:
        named = re.findall(r"(?:^|[`/])visionfleet ([a-z][a-z-]+)", document.read_text(), re.M)
        assert set(named) <= known, document


def test_settings_exist() -> None:
    sections = {
        name: set(field.annotation.model_fields)
        for name, field in Config.model_fields.items()
        if hasattr(field.annotation, "model_fields")
    }
    for document in DOCUMENTS:
        for section, key in re.findall(r"`([a-z0-9]+)\.([a-z_]+)(?:`|:)", document.read_text()):
            if section in sections and key not in {"py", "yaml"}:
                gone = document.name == "CHANGELOG.md" and f"{section}.{key}" in REMOVED
                assert gone or key in sections[section], f"{document}: {section}.{key}"


def test_names_of_the_wire_contract_are_documented() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    for name in (
        names.image_key("<job>"),
        names.result_key("<job>"),
        names.by_name_key("<stem>.jpg"),
        names.by_content_key("<sha256>", "<fingerprint>"),
        names.idempotency_key("<name>"),
        names.upload_key("<upload>"),
        names.worker_key("<worker>"),
        names.drain_key("<worker>"),
        names.STATUS_KEY,
        names.LAUNCHES_KEY,
        names.LEASE_KEY,
        names.requests_queue("{name}"),
        names.dead_queue("{name}"),
    ):
        assert f"`{name}`" in text


def test_the_project_speaks_of_itself_alone() -> None:
    listing = subprocess.run(["git", "ls-files"], capture_output=True, text=True, cwd=ROOT)
    for name in listing.stdout.splitlines():
        path = ROOT / name
        if path.suffix in {".py", ".md", ".yaml", ".toml", ".conf", ".cfg"} and path.exists():
            assert str(ROOT) + "/" not in path.read_text(), name
