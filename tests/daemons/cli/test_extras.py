"""Commands and the worker on a host that has no more than the web daemon needs."""

import os
import subprocess
import sys
from collections.abc import Sequence

import pytest

WITHOUT = """
import sys
sys.modules.update(dict.fromkeys(("numpy", "torch", "cheroot", "moto")))
from {module} import {function}
sys.exit({function}())
"""


def run(
    module: str, function: str, arguments: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    code = WITHOUT.format(module=module, function=function)
    argv = [sys.executable, "-c", code, *arguments]
    environment = {"PATH": os.environ["PATH"]}
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, env=environment)


@pytest.mark.parametrize(
    ("command", "library", "extra"),
    [
        (("evaluate", "--help"), "numpy", "classifier"),
        (("model", "inspect"), "numpy", "classifier"),
        (("embedded-aws",), "cheroot", "local"),
    ],
)
def test_command_without_its_libraries_names_them(
    command: Sequence[str], library: str, extra: str
) -> None:
    done = run("visionfleet.cli", "main", command)
    wanted = f"{library} is missing: {sys.executable} -m pip install 'visionfleet[{extra}]'"
    assert (done.returncode, done.stderr.strip()) == (1, f"visionfleet: {wanted}")


def test_worker_without_its_libraries_exits_for_good() -> None:
    done = run("visionfleetd.classifier", "start")
    wanted = f"numpy is missing: {sys.executable} -m pip install 'visionfleet[classifier]'"
    assert (done.returncode, done.stderr.strip()) == (78, wanted)


def test_completion_needs_no_extra() -> None:
    done = run("visionfleet.cli", "main", ["completion", "bash"])
    assert done.returncode == 0, done.stderr
    assert "evaluate" in done.stdout
