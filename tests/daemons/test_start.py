"""What each daemon does not import at its start: what it has no use for costs time and memory."""

import subprocess
import sys

import pytest

# Whole libraries, parts of them, and parts of the standard library that are slow to import.
NOBODY = {"boto3", "s3transfer", "requests", "moto", "torch", "torchvision", "matplotlib", "rich"}
UNWANTED = {
    "classifier": NOBODY | {"PIL", "pi_heif", "tornado", "asyncio", "multiprocessing", "xmlrpc"},
    "scaler": NOBODY | {"PIL", "pi_heif", "tornado", "asyncio", "multiprocessing", "numpy"},
    "web": NOBODY | {"numpy", "openvino", "xmlrpc"},
}


@pytest.mark.parametrize("daemon", UNWANTED)
def test_daemon_imports_nothing_that_it_has_no_use_for(daemon: str) -> None:
    code = f"import sys, visionfleetd.{daemon}.main; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = set(done.stdout.split())
    assert f"visionfleetd.{daemon}.wiring" in imported
    assert imported & UNWANTED[daemon] == set()
