"""The import rules: which part of the product may know which."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIB = ROOT / "lib" / "visionfleet"
DAEMONS = ROOT / "daemons" / "visionfleetd"
STANDARD = set(sys.stdlib_module_names)
SOURCES = sorted([*LIB.rglob("*.py"), *DAEMONS.rglob("*.py")])

# Pure modules, and what each may import beside the standard library, pydantic and errors.
PURE: dict[str, set[str]] = {
    "visionfleet.errors": set(),
    "visionfleet.ids": set(),
    "visionfleet.retry": set(),
    "visionfleet.scaling": set(),
    "visionfleet.messages": set(),
    "visionfleet.naming": set(),
    "visionfleet.keys": set(),
    "visionfleet.placement": set(),
    "visionfleet.entries": set(),
    "visionfleet.liveness": set(),
    "visionfleet.message_ids": set(),
    "visionfleet.web.proxies": set(),
    "visionfleet.web.admission": set(),
    "visionfleet.web.body": {"visionfleet.web"},
    "visionfleet.web.holding": {"visionfleet.web.problems"},
    "visionfleet.web.rates": set(),
    "visionfleet.web.rules": {"visionfleet.web.proxies"},
    "visionfleet.web.uploads": {"python_multipart", "visionfleet.web.problems"},
    "visionfleet.instance": {"yaml", "visionfleet.config"},
    "visionfleet.idling": {"visionfleet.messages"},
    "visionfleet.calibration": {"numpy"},
    "visionfleet.evaluation": {"numpy", "visionfleet.calibration"},
    "visionfleet.images": {"PIL"},
    "visionfleet.preprocessing": {"PIL", "numpy"},
    "visionfleet.watching": {
        "visionfleet.fleet",
        "visionfleet.messages",
        "visionfleet.scaling",
    },
    "visionfleet.launches": {"visionfleet.fleet", "visionfleet.messages"},
    "visionfleet.fleet": set(),
    "visionfleet.fleet.gate": {"visionfleet.retry"},
    "visionfleet.fleet.offerings": {"visionfleet.retry"},
    "visionfleet.schedule": set(),
    "visionfleet.scaler.policy": {"visionfleet.config", "visionfleet.scaling"},
    "visionfleet.scaler.handled": {"visionfleet.messages"},
    "visionfleet.simulation": set(),
    "visionfleet.simulation.trace": set(),
    "visionfleet.simulation.backlog": set(),
    "visionfleet.simulation.outcome": set(),
    "visionfleet.simulation.world": {"visionfleet.scaling", "visionfleet.simulation"},
    "visionfleet.simulation.baselines": {"visionfleet.scaling"},
    "visionfleet.simulation.oracle": {"visionfleet.scaling"},
    "visionfleet.simulation.policies": {"visionfleet.scaling", "visionfleet.simulation"},
    "visionfleet.scaler.lease": {"visionfleet.messages"},
    "visionfleet.scaler.leftovers": {"visionfleet.naming"},
    "visionfleet.web.crossorigin": set(),
    "visionfleet.web.idempotency": {"visionfleet.web.problems"},
    "visionfleet.web.inference": {
        "visionfleet.messages",
        "visionfleet.web.parameters",
        "visionfleet.web.problems",
    },
    "visionfleet.web.models": {"visionfleet.messages"},
    "visionfleet.web.wishes": {"visionfleet.images", "visionfleet.web.problems"},
    "visionfleet.config.fields": set(),
    "visionfleet.config.scaler": {"visionfleet.config"},
    "visionfleet.config.schema": {"visionfleet.config"},
    "visionfleet.config.web": {"visionfleet.config", "visionfleet.keys"},
    "visionfleet.config.worker": {"visionfleet.config"},
    "visionfleet.config.rules": {"visionfleet.config"},
    "visionfleet.config.changes": {"visionfleet.config"},
    "visionfleet.config.expectation": {"visionfleet.config"},
    "visionfleet.config.files": {"yaml"},
    "visionfleet.config.load": {"yaml", "visionfleet.config"},
}
# Of the standard library, what a pure module must not touch.
IMPURE = {"http", "logging", "random", "socket", "subprocess", "threading", "time", "urllib"}
# A generator comes as an argument; these name its type.
RANDOM = {
    (f"visionfleet.{name}", "random")
    for name in (
        *("retry", "fleet.gate", "fleet.offerings"),
        *("simulation.trace", "simulation.world", "simulation.baselines", "simulation.policies"),
    )
}
EDGES = {
    "visionfleet.alarm_metrics",
    "visionfleet.fleet.instances",
    "visionfleet.interruption",
    "visionfleet.provision",
    "visionfleet.queues",
    "visionfleet.reply_queues",
    "visionfleet.store",
}


def module_name(path: Path) -> str:
    root = LIB.parent if path.is_relative_to(LIB.parent) else DAEMONS.parent
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in the file; TYPE_CHECKING blocks left out."""
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
            if node.module in {"visionfleet", "visionfleetd"}:
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
            else:
                yield node.module


def below(module: str, packages: set[str]) -> bool:
    return any(module == package or module.startswith(package + ".") for package in packages)


def test_every_pure_module_exists() -> None:
    assert set(PURE) <= {module_name(path) for path in SOURCES}


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_pure_modules_import_no_edge(path: Path) -> None:
    allowed = PURE.get(module_name(path))
    if allowed is None:
        return
    known = allowed | {"visionfleet.errors", "pydantic", "pydantic_core"}
    for module in imports(path):
        if not below(module, known):
            top = module.partition(".")[0]
            assert below(top, STANDARD), f"{path} imports {module}"
            if (module_name(path), top) not in RANDOM:
                assert top not in IMPURE, f"{path} imports {module}"


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_edges_do_not_know_each_other(path: Path) -> None:
    if module_name(path) in EDGES:
        others = {m for m in imports(path) if below(m, {"visionfleet"})}
        pure = {m for m in others if m in PURE or m.rpartition(".")[0] in PURE}
        assert others - pure <= {"visionfleet.aws"} | {
            m for m in others if m.startswith("visionfleet.aws.")
        }


@pytest.mark.parametrize(
    ("library", "homes"),
    [
        ("torch", {"visionfleet.model"}),
        ("torchvision", {"visionfleet.model"}),
        ("python_multipart", {"visionfleet.web.uploads"}),
        ("tornado", {"visionfleet.web", "visionfleetd.web"}),
        ("uvloop", {"visionfleetd.web"}),
        (
            "prometheus_client",
            {"visionfleet.metrics", "visionfleet.scaler.metrics", "visionfleet.web.meters"},
        ),
        ("boto3", {"visionfleet.aws"}),
        ("botocore", {"visionfleet.aws"}),
        ("moto", {"visionfleet.local"}),
        ("cheroot", {"visionfleet.local"}),
        (
            "visionfleet.model",
            {
                "visionfleet.model",
                "visionfleet.cli.evaluate",
                "visionfleet.cli.model",
                "visionfleetd.classifier",
                "visionfleetd.isolated",
            },
        ),
    ],
)
def test_library_is_imported_only_where_it_lives(library: str, homes: set[str]) -> None:
    users = {
        module_name(path)
        for path in SOURCES
        if any(below(module, {library}) for module in imports(path))
    }
    assert {user for user in users if not below(user, homes)} == set()


def test_daemons_do_not_know_each_other() -> None:
    daemons = {"visionfleetd.web", "visionfleetd.scaler", "visionfleetd.classifier"}
    for path in SOURCES:
        others = {m for m in imports(path) if below(m, daemons)}
        assert not others, f"{path} imports {others}"


def test_system_tests_import_nothing_of_the_product() -> None:
    for path in sorted((ROOT / "tests" / "system").rglob("*.py")):
        ours = {m for m in imports(path) if below(m, {"visionfleet", "visionfleetd"})}
        assert not ours, f"{path} imports {ours}"
