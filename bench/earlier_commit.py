"""An earlier commit of this repository, unpacked to be measured in the same run."""

import io
import os
import subprocess
import tarfile
from pathlib import Path

from testkit import ROOT

BEFORE = "11ee369"  # before models ran on OpenVINO and calls went past boto3


def unpacked(commit: str, folder: Path) -> str:
    """Unpack a commit; returns the PYTHONPATH of its daemons."""
    argv = ["git", "-C", str(ROOT), "archive", commit, "lib", "daemons"]
    archive = subprocess.run(argv, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
    return os.pathsep.join(str(folder / part) for part in ("lib", "daemons"))
