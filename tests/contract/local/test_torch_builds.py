"""Which builds of torch `make run` installs, by what is there: with a pip that only tells."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from testkit import ROOT

CPU = "--index-url https://download.pytorch.org/whl/cpu torch torchvision"
# No torch is there yet; `pip config list` says what TOLD_PIP holds.
PYTHON = """#!/bin/sh
case "$*" in
*find_spec*) exit 1 ;;
*"pip config list"*) echo "$TOLD_PIP" ;;
*--index-url*) echo "$*" >>calls; exit ${CPU_STATUS:-0} ;;
*) echo "$*" >>calls ;;
esac
"""


def installed(folder: Path, *words: str, **environment: str) -> tuple[str, str]:
    """What pip was asked for, and what the person was told."""
    for name in ("Makefile", "setup.py"):
        shutil.copy(ROOT / name, folder)
    python = folder / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(PYTHON)
    python.chmod(0o755)
    done = subprocess.run(
        ["make", "--no-print-directory", ".venv/.installed-runtime", "NVIDIA=gpu", *words],
        cwd=folder,
        env={**os.environ, "TOLD_PIP": "", **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    calls = folder / "calls"
    told = done.stderr if done.returncode == 0 else f"status {done.returncode}: {done.stderr}"
    return calls.read_text() if calls.exists() else "", told


def test_host_without_a_gpu_gets_builds_for_the_cpu(tmp_path: Path) -> None:
    asked, told = installed(tmp_path)
    first, second = asked.splitlines()
    assert first.endswith(CPU)
    assert second.endswith("-e .[classifier,local]")
    assert "builds for the CPU: some 200 MB, a minute or two" in told


def test_host_with_a_gpu_gets_the_usual_builds(tmp_path: Path) -> None:
    (tmp_path / "gpu").touch()
    asked, told = installed(tmp_path)
    assert asked.count("\n") == 1
    assert "several gigabytes, some minutes" in told


@pytest.mark.parametrize("setting", [":env:.index-url='x'", "global.find-links='/wheels'"])
def test_pip_that_is_told_where_to_look_is_asked_alone(tmp_path: Path, setting: str) -> None:
    asked, told = installed(tmp_path, TOLD_PIP=setting)
    assert asked.count("\n") == 1
    assert "from where pip is told to look" in told


def test_builds_that_cannot_be_had_are_made_up_for(tmp_path: Path) -> None:
    asked, told = installed(tmp_path, CPU_STATUS="1")
    assert asked.count("\n") == 2
    assert "they cannot be had here" in told


@pytest.mark.parametrize(
    ("words", "environment", "sentence"),
    [
        (["TORCH=cpu"], {"CPU_STATUS": "1"}, "builds for the CPU"),
        (["TORCH=rocm"], {}, "TORCH is auto, cpu or cuda, not rocm"),
    ],
)
def test_what_was_asked_for_and_cannot_be_ends_it(
    tmp_path: Path, words: list[str], environment: dict[str, str], sentence: str
) -> None:
    asked, told = installed(tmp_path, *words, **environment)
    assert told.startswith("status 2: ")
    assert sentence in told
    assert "classifier,local" not in asked
