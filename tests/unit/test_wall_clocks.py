"""Hosts' clocks are wrong, or are set: who compares times with others asks for those of AWS."""

import ast
from pathlib import Path

import pytest

from testkit import ROOT

SOURCES = sorted(path for top in ("lib", "daemons") for path in (ROOT / top).rglob("*.py"))
# A call of one of these, or their mention, reads this host's clock.
WALL = {("time", "time"), ("time", "time_ns"), ("datetime", "now"), ("datetime", "utcnow")}
# Tornado and prometheus_client read it.
FOREIGN = {"request_time", "set_to_current_time"}
WITHOUT_ARGUMENTS = {("time", name) for name in ("gmtime", "localtime", "ctime", "asctime")}
OWN_CLOCK = {
    "daemons/visionfleetd/scaler/wiring.py": "for what systemd of this host tells",
    "lib/visionfleet/aws/server_clock.py": "until AWS has told its own",
    "lib/visionfleet/aws/direct_calls.py": "signs as botocore does",
    "lib/visionfleet/aws/s3.py": "gives botocore what botocore adds to this clock",
    "lib/visionfleet/cli/keys.py": "for people, in a file of this host",
    "lib/visionfleet/local/moto_patches.py": "is the clock of the stand-in for AWS",
}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_own_clock_is_read_by_few_modules(path: Path) -> None:
    if path.relative_to(ROOT).as_posix() in OWN_CLOCK:
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute):
            name, where = named(node), f"{path}:{node.lineno}"
            assert name not in WALL, f"{where}: take AWS's clock"
            assert name[1] not in FOREIGN, f"{where}: take the monotonic clock"
        if isinstance(node, ast.Call) and not node.args and isinstance(node.func, ast.Attribute):
            assert named(node.func) not in WITHOUT_ARGUMENTS, f"{path}:{node.lineno}"


def named(node: ast.Attribute) -> tuple[str, str]:
    owner = node.value
    last = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
    return last, node.attr


def test_modules_with_their_own_clock_exist() -> None:
    assert [name for name in OWN_CLOCK if not (ROOT / name).exists()] == []
