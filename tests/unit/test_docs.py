"""The documents say what is true: links, commands, settings, routes and names that exist."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel

from testkit import ROOT
from visionfleet import cli
from visionfleet.config.removed import REMOVED
from visionfleet.config.schema import Config
from visionfleet.contract import names
from visionfleetd.classifier import main as classifier_main
from visionfleetd.scaler import loop as scaler_loop
from visionfleetd.web import reload as web_reload

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("models/*.md")])
PATHS = re.compile(
    r"(?<!/)\b((?:lib|daemons|tests|etc|models|docs|bench|cloudformation|packer|systemd)/[\w./-]+\.(?:py|ya?ml|md|conf))"
)

# What a reader searches for, in README and docs.
TERMS = (
    *("admission control", "artefact", "at least once", "backoff", "circuit breaker", "cooldown"),
    *("dead letter", "drain", "graceful shutdown", "idempotency key", "launch ledger"),
    *("leader election", "leader lease", "liveness", "maximum", "memory budget"),
    *("presigned upload", "rate limit", "readiness", "redrive", "rolling update", "scale-in"),
    *("stop listening", "visibility heartbeat", "visibility timeout"),
)
MOST_COLUMNS = 110


def prose(document: Path) -> str:
    """A document without its blocks of code."""
    return re.sub(r"^ *```.*?^ *```", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)


def anchors(document: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(document), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_docs_links_and_paths_exist(document: Path) -> None:
    text = document.read_text()
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    missing = [link for link in links if not (document.parent / link).exists()]
    missing += [path for path in PATHS.findall(text) if not (ROOT / path).exists()]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_to_headings_lead_somewhere(document: Path) -> None:
    for page, anchor in re.findall(r"\]\(([\w./-]*\.md)?#([^)]+)\)", prose(document)):
        assert anchor in anchors(document.parent / page if page else document), f"{page}#{anchor}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_lines_of_prose_are_short(document: Path) -> None:
    lines = [line for line in prose(document).splitlines() if not line.startswith("|")]
    assert [line for line in lines if len(line) > MOST_COLUMNS] == []


def test_terms_of_the_field_are_found() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    text = " ".join(" ".join(page.read_text().lower().split()) for page in pages)
    assert [term for term in TERMS if term not in text] == []


def test_the_index_of_the_code_names_files_that_exist() -> None:
    roots = (ROOT / "lib" / "visionfleet", ROOT / "daemons")
    named = re.findall(r"`([\w/]+\.py)`", (ROOT / "docs" / "reading-the-code.md").read_text())
    assert len(named) > 80
    assert [name for name in named if not any((root / name).exists() for root in roots)] == []


def test_packages_in_the_readme_exist() -> None:
    rows = re.findall(r"^\| (`[^|]+`) \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([\w/]+)`", row)}
    packages = {path.parent for path in (ROOT / "lib" / "visionfleet").rglob("__init__.py")}
    known = {str(path.relative_to(ROOT / "lib" / "visionfleet")) for path in packages}
    assert named <= known
    assert {name.partition("/")[0] for name in known} - {"."} <= {n.split("/")[0] for n in named}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_docs_make_targets_exist(document: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", document.read_text(), re.MULTILINE))
    assert named <= targets


def subcommands() -> set[str]:
    command = [str(Path(sys.executable).with_name("visionfleet")), "--help"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"^    ([a-z-]+)", text, re.MULTILINE))


def test_docs_subcommands_exist() -> None:
    known = subcommands()
    assert "classify" in known
    for document in DOCUMENTS:
        named = re.findall(r"(?:^|[`/])visionfleet ([a-z][a-z-]+)", document.read_text(), re.M)
        assert set(named) <= known, document


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_are_accepted(document: Path) -> None:
    line = r"^(?:[$] |sudo |[A-Z_]+=\S+ |\.venv/bin/)*visionfleet ([^|>\n]+)"
    for command in re.findall(line, document.read_text(), re.MULTILINE):
        words = shlex.split(command, comments=True)
        cli.parser_for(words).parse_args(words)  # exits if it is refused


def test_docs_settings_exist() -> None:
    sections = {
        name: set(kind.model_fields)
        for name, field in Config.model_fields.items()
        if isinstance(kind := field.annotation, type) and issubclass(kind, BaseModel)
    }
    for document in DOCUMENTS:
        for section, key in re.findall(r"`([a-z0-9]+)\.([a-z_]+)(?:`|:)", document.read_text()):
            if section in sections and key not in {"py", "yaml"}:
                gone = document.name == "CHANGELOG.md" and f"{section}.{key}" in REMOVED
                assert gone or key in sections[section], f"{document}: {section}.{key}"


def test_log_lines_in_troubleshooting_are_written() -> None:
    text = (ROOT / "docs" / "troubleshooting.md").read_text()
    sentences = set(re.findall(r"`([A-Za-z][\w ,]+?) [a-z_]+=", text))
    assert len(sentences) > 10
    code = "".join(path.read_text() for root in ("lib", "daemons") for path in sources(root))
    assert [sentence for sentence in sentences if f'"{sentence}' not in code] == []


def sources(root: str) -> list[Path]:
    return sorted((ROOT / root).rglob("*.py"))


def test_settings_that_a_reload_reaches_are_documented() -> None:
    text = (ROOT / "docs" / "runbook.md").read_text()
    table = text.partition("take effect at a reload")[2].partition("\n\nThe scaler")[0]
    found: dict[str, set[str]] = {"web": set(), "classifier": set(), "scaler": set()}
    for daemons, settings in re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", table, re.MULTILINE):
        for daemon in found if daemons == "all three" else found.keys() & set(daemons.split(", ")):
            found[daemon] |= set(re.findall(r"`(\w+\.\w+)`", settings))
    assert found["web"] == web_reload.REACH.live
    assert found["classifier"] == classifier_main.REACH.live
    assert found["scaler"] == scaler_loop.REACH.live


def test_names_of_the_wire_contract_are_documented() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    for name in (
        names.image_key("<job>"),
        names.result_key("<job>"),
        names.correction_key("<job>"),
        names.corrected_image_key("<job>"),
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


def test_project_files_name_no_local_path() -> None:
    listing = subprocess.run(["git", "ls-files"], capture_output=True, text=True, cwd=ROOT)
    for name in listing.stdout.splitlines():
        path = ROOT / name
        if path.suffix in {".py", ".md", ".yaml", ".toml", ".conf", ".cfg"} and path.exists():
            assert str(ROOT) + "/" not in path.read_text(), name
