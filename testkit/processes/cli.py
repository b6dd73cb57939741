"""The `visionfleet` command as a real process."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from testkit.aws.embedded import Cloud
from testkit.processes.daemons import PYTHONPATH

MAIN = "import sys; from visionfleet.cli import main; sys.exit(main())"
COMMAND = [sys.executable, "-c", MAIN]


def visionfleet(
    *arguments: str,
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> "subprocess.CompletedProcess[str]":
    """Run to the end; our own settings in the tester's environment do not count."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("VISIONFLEET_", "AWS_"))}
    done = subprocess.run(
        [*COMMAND, *arguments],
        input=stdin,
        capture_output=True,
        env={**kept, "PYTHONPATH": PYTHONPATH, **(env or {})},
        cwd=cwd,
        timeout=60,
        check=False,
    )
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
    )


def config_file(folder: Path, text: str = "") -> str:
    path = folder / "vf.yaml"
    path.write_text(text)
    return str(path)


def at(aws: Cloud) -> dict[str, str]:
    """Point at the embedded AWS without any credentials: it needs none."""
    return {"VISIONFLEET_AWS__ENDPOINT_URL": aws.endpoint_url}
