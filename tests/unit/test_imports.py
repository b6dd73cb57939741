"""The import rules: which package may import which."""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from testkit import ROOT
from visionfleet.host.extras import how_to_install

LIB = ROOT / "lib" / "visionfleet"
DAEMONS = ROOT / "daemons" / "visionfleetd"
STANDARD = set(sys.stdlib_module_names)
SOURCES = sorted([*LIB.rglob("*.py"), *DAEMONS.rglob("*.py")])

# Packages and modules without I/O. They import the standard library, pydantic, `errors`, each
# other, and the libraries named here.
PURE: dict[str, set[str]] = {
    "visionfleet.errors": set(),
    "visionfleet.backoff": set(),
    "visionfleet.contract": set(),
    "visionfleet.cost": {"yaml"},
    "visionfleet.config": {"yaml"},
    "visionfleet.aws.queue_attributes": set(),
    "visionfleet.imaging": {"PIL", "numpy", "pi_heif"},
    "visionfleet.evaluation.accuracy": {"numpy"},
    "visionfleet.evaluation.calibration": {"numpy"},
    "visionfleet.measurement": set(),
    "visionfleet.simulation": set(),
    "visionfleet.auth.api_keys": set(),
    "visionfleet.host.cpu_placement": set(),
    "visionfleet.model.file_kinds": set(),
    "visionfleet.host.user_data": {"yaml"},
    "visionfleet.host.watchdog": set(),
    "visionfleet.logs.journal_fields": set(),
    "visionfleet.logs.message_ids": set(),
    "visionfleet.classifier.capacity": set(),
    "visionfleet.classifier.idle_shutdown": set(),
    "visionfleet.fleet.base": set(),
    "visionfleet.fleet.call_budget": set(),
    "visionfleet.fleet.circuit_breaker": set(),
    "visionfleet.fleet.launch_ledger": set(),
    "visionfleet.fleet.offerings": set(),
    "visionfleet.fleet.rehearsals": set(),
    "visionfleet.scaler.boots": set(),
    "visionfleet.scaler.cooldown": set(),
    "visionfleet.scaler.stalled_worker": set(),
    "visionfleet.scaler.deaths": set(),
    "visionfleet.scaler.decision": set(),
    "visionfleet.scaler.sizing": set(),
    "visionfleet.scaler.election": set(),
    "visionfleet.scaler.failed_starts": set(),
    "visionfleet.scaler.status": set(),
    "visionfleet.scaler.forecast": set(),
    "visionfleet.scaler.handled_images": set(),
    "visionfleet.scaler.learned_times": set(),
    "visionfleet.scaler.incarnations": set(),
    "visionfleet.scaler.reasons": set(),
    "visionfleet.scaler.usage": set(),
    "visionfleet.web.http.body": set(),
    "visionfleet.web.http.cors": set(),
    "visionfleet.web.http.encodings": set(),
    "visionfleet.web.http.form": {"python_multipart"},
    "visionfleet.web.http.json_body": set(),
    "visionfleet.web.http.forwarded": set(),
    "visionfleet.web.http.rate_limit": set(),
    "visionfleet.web.http.targets": set(),
    "visionfleet.web.jobs.active_model": set(),
    "visionfleet.web.jobs.idempotency": set(),
    "visionfleet.web.jobs.answers": set(),
    "visionfleet.web.load.admission": set(),
    "visionfleet.web.load.memory_budget": set(),
    "visionfleet.web.load.readiness": set(),
    "visionfleet.web.problems": set(),
    "visionfleet.web.routes.documents": set(),
    "visionfleet.web.routes.open_inference_codec": set(),
    "visionfleet.web.routes.operation": set(),
    "visionfleet.web.routes.parameters": set(),
}
# Of the standard library, what a pure module must not touch.
IMPURE = {"http", "logging", "socket", "subprocess", "threading", "time", "urllib"}
# As `http`, but no more than names of statuses.
STATUS_NAMES = {("visionfleet.web.problems", "http")}
EDGES = {
    "visionfleet.aws.cloudwatch",
    "visionfleet.aws.imds",
    "visionfleet.aws.provisioning",
    "visionfleet.aws.reply_queues",
    "visionfleet.aws.s3",
    "visionfleet.aws.sqs",
    "visionfleet.fleet.ec2_client",
}


def module_name(path: Path) -> str:
    root = LIB.parent if path.is_relative_to(LIB.parent) else DAEMONS.parent
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def is_module(name: str) -> bool:
    place = Path(*name.split("."))
    return any(
        (root / place).with_suffix(".py").exists() or (root / place / "__init__.py").exists()
        for root in (LIB.parent, DAEMONS.parent)
    )


@cache
def imports(path: Path) -> tuple[str, ...]:
    """Every module that a file imports, wherever in the file; TYPE_CHECKING blocks left out."""
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text())
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if is_module(inner) else node.module


def imports_whole(path: Path) -> set[str]:
    """Name the modules that a file imports by `import`, as they are."""
    tree = ast.parse(path.read_text())
    return {a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names}


def below(module: str, packages: set[str]) -> bool:
    return any(module == package or module.startswith(package + ".") for package in packages)


def pure(module: str) -> str | None:
    """Name the entry of `PURE` that a module falls under."""
    while module and module not in PURE:
        module = module.rpartition(".")[0]
    return module or None


def test_every_pure_module_exists() -> None:
    assert set(PURE) <= {module_name(path) for path in SOURCES}


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_pure_modules_import_no_edge(path: Path) -> None:
    entry = pure(module_name(path))
    if entry is None:
        return
    known = PURE[entry] | {"pydantic", "pydantic_core"}
    for module in imports(path):
        if not below(module, known) and pure(module) is None:
            top = module.partition(".")[0]
            assert below(top, STANDARD), f"{path} imports {module}"
            if (module_name(path), top) not in STATUS_NAMES:
                assert top not in IMPURE, f"{path} imports {module}"


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_pure_modules_make_no_randomness(path: Path) -> None:
    """A generator comes as an argument; `random` is imported for the name of its type."""
    if pure(module_name(path)) is not None:
        names = {
            alias.name
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.ImportFrom) and node.module == "random"
            for alias in node.names
        }
        assert names <= {"Random"}
        assert "random" not in imports_whole(path)


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_edges_do_not_import_each_other(path: Path) -> None:
    if module_name(path) in EDGES:
        others = {m for m in imports(path) if below(m, {"visionfleet"}) and pure(m) is None}
        shared = {"visionfleet.aws.errors", "visionfleet.aws.slow_responses"}
        parts = {"visionfleet.aws.outbox", "visionfleet.aws.s3_direct"}
        assert others <= {"visionfleet.aws"} | parts | shared


@pytest.mark.parametrize(
    ("library", "homes"),
    [
        ("torch", {"visionfleet.model"}),
        ("torchvision", {"visionfleet.model"}),
        ("openvino", {"visionfleet.model"}),
        ("nncf", {"visionfleet.model"}),
        ("safetensors", {"visionfleet.model.state_dict"}),
        ("timm", {"visionfleet.model.importing"}),
        ("transformers", {"visionfleet.model.importing"}),
        ("onnxruntime", {"visionfleet.model.onnx_network"}),
        ("python_multipart", {"visionfleet.web.http.form"}),
        ("tornado", {"visionfleet.web.http", "visionfleet.web.routes", "visionfleetd.web.main"}),
        ("uvloop", {"visionfleetd.web.main"}),
        (
            "prometheus_client",
            {
                "visionfleet.classifier.metrics",
                "visionfleet.host.metrics_server",
                "visionfleet.scaler.metrics",
                "visionfleet.web.metrics",
            },
        ),
        ("boto3", set()),
        ("botocore", {"visionfleet.aws"}),
        ("moto", {"visionfleet.local"}),
        ("pi_heif", {"visionfleet.imaging"}),
        ("cheroot", {"visionfleet.local"}),
        (
            "visionfleet.model",
            {
                "visionfleet.model",
                "visionfleet.cli.evaluate",
                "visionfleet.cli.model",
                "visionfleet.cli.model_teach",
                "visionfleet.cli.model_import",
                "visionfleetd.classifier.main",
                "visionfleetd.classifier.isolated",
            },
        ),
    ],
)
def test_libraries_are_imported_only_in_their_package(library: str, homes: set[str]) -> None:
    users = {
        module_name(path)
        for path in SOURCES
        if any(below(module, {library}) for module in imports(path))
    }
    assert {user for user in users if not below(user, homes)} == set()


def test_core_of_web_knows_no_http() -> None:
    """Jobs and load answer in their own terms, and the routes say them in HTTP's."""
    core = {"visionfleet.web.jobs", "visionfleet.web.load"}
    http = {"visionfleet.web.http", "visionfleet.web.routes", "visionfleet.web.problems"}
    for path in SOURCES:
        if below(module_name(path), core):
            assert not [m for m in imports(path) if below(m, http | {"tornado"})], path


def test_daemons_do_not_import_each_other() -> None:
    daemons = {"visionfleetd.web.main", "visionfleetd.scaler.main", "visionfleetd.classifier.main"}
    for path in SOURCES:
        own = {f"visionfleetd.{path.parent.name}.main"}
        others = {m for m in imports(path) if below(m, daemons - own)}
        assert not others, f"{path} imports {others}"


def test_system_tests_import_nothing_of_the_product() -> None:
    for path in sorted((ROOT / "tests" / "system").rglob("*.py")):
        ours = {m for m in imports(path) if below(m, {"visionfleet", "visionfleetd"})}
        assert not ours, f"{path} imports {ours}"


@pytest.mark.parametrize("daemon", ["web", "scaler"])
def test_hosts_of_one_daemon_need_no_classifier(daemon: str) -> None:
    """They are installed without the extra `classifier`, so without numpy, torch and the rest."""
    files = {module_name(path): path for path in SOURCES}
    seen: set[str] = set()
    waiting = [f"visionfleetd.{daemon}.main"]
    while waiting:
        module = waiting.pop()
        if module not in seen:
            seen.add(module)
            waiting += imports(files[module]) if module in files else []
    assert not {m for m in seen if below(m, {"numpy", "torch", "torchvision", "visionfleet.model"})}


def test_every_library_of_an_extra_is_told_by_name() -> None:
    found = {m.partition(".")[0] for path in SOURCES for m in imports(path)} - STANDARD
    ours = {"visionfleet", "visionfleetd"}
    base = {"PIL", "botocore", "jmespath", "pi_heif", "prometheus_client", "pydantic"} | {
        *("pydantic_core", "python_multipart", "rich", "tornado", "urllib3", "uvloop", "yaml")
    }
    for library in sorted(found - ours - base):
        assert how_to_install(ModuleNotFoundError(name=library)), library
