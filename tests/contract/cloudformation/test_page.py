"""The page on AWS, typed from top to bottom into one shell, at an embedded AWS.

Its instances are no machines, so nothing answers at the end; all else is as in an account.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from testkit import ROOT, pages
from testkit.aws.cloudformation_stack import IMAGE, client
from testkit.aws.embedded import CREDENTIALS
from testkit.processes.daemons import started_module
from testkit.processes.ports import accepts, free_port
from testkit.processes.waiting import wait_until
from testkit.release import committed

# Versions of the AWS CLI before 2.13 know no AWS_ENDPOINT_URL.
AWS = '#!/bin/sh\nexec {real} --endpoint-url "$AWS_ENDPOINT_URL" "$@"\n'


def tool(name: str) -> str:
    """Find a tool that the page wants; CI must have it."""
    found = shutil.which(name)
    if found is None and os.environ.get("CI") == "true":
        pytest.fail(f"CI needs {name}")
    if found is None:
        pytest.skip(f"no {name}: sudo apt-get install awscli jq")
    return found


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Make the clone that the page asks for, with what its reader brings along."""
    made = committed(tmp_path)
    (made / ".venv").symlink_to(Path(sys.executable).parents[1])
    (made / "model.pt").write_bytes(b"a model")
    (made / "bin").mkdir()
    (made / "bin/aws").write_text(AWS.format(real=tool("aws")))
    (made / "bin/aws").chmod(0o755)
    (made / "build").mkdir()
    artefact = {"builds": [{"artifact_id": f"us-east-1:{IMAGE}"}]}
    (made / "build/ami.json").write_text(json.dumps(artefact))
    return made


def test_page_typed_into_one_shell_makes_and_removes_the_stack(
    checkout: Path, tmp_path: Path
) -> None:
    tool("jq")
    lines = pages.typed_by(pages.ACCOUNT, "docs/aws.md")
    lines.insert(0, "ME=203.0.113.7/32")
    port = free_port()
    module = "testkit.aws.cloudformation_server"
    with started_module(module, "--port", str(port), log=tmp_path / "aws.log") as process:
        wait_until(lambda: accepts(port), 60, process.tail)
        endpoint = f"http://127.0.0.1:{port}"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-xc", "\n".join(lines)],
            cwd=checkout,
            env=environment(checkout, endpoint),
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
        left = client(endpoint, "cloudformation").describe_stacks()["Stacks"]
        assert left == []
    assert IMAGE in done.stdout
    assert "No scaler has reported yet" in done.stdout


def environment(checkout: Path, endpoint: str) -> dict[str, str]:
    ours = ("VISIONFLEET_", "AWS_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    path = f"{checkout}/bin:{Path(sys.executable).parent}:{kept['PATH']}"
    more = {"PATH": path, "AWS_ENDPOINT_URL": endpoint, "AWS_EC2_METADATA_DISABLED": "true"}
    return {**kept, **CREDENTIALS, **more, "PYTHONPATH": f"{ROOT}/lib:{ROOT}/daemons"}
