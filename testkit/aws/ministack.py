"""MiniStack, a second emulator of AWS, in an environment of its own: it pins botocore.

`make .venv-ministack/.installed` makes it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from testkit import ROOT
from testkit.aws.embedded import Cloud, connect, provision
from testkit.processes.daemons import started
from testkit.processes.ports import accepts, free_port
from testkit.processes.waiting import wait_until

PROGRAM = ROOT / ".venv-ministack/bin/ministack"
RESET = "/_ministack/reset"


@contextmanager
def ministack(folder: Path, checks_signatures: bool = False) -> Iterator[Cloud]:
    """Run one for the length of a with block, with buckets and queues."""
    with bare_ministack(folder, checks_signatures) as made:
        provision(made, {})
        yield made


@contextmanager
def bare_ministack(folder: Path, checks_signatures: bool) -> Iterator[Cloud]:
    """Run one with nothing in it; one that checks signatures knows the key `test` alone."""
    if not PROGRAM.exists():
        missing = "MiniStack is not installed: make .venv-ministack/.installed"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    port = free_port()
    # Without an address it listens on all of them.
    environment = {
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "AUTH": str(checks_signatures),
    }
    with started([str(PROGRAM)], folder / "ministack.log", environment, folder) as process:
        wait_until(lambda: accepts(port), 30, process.tail)
        yield replace(connect(f"http://127.0.0.1:{port}"), reset_path=RESET)
