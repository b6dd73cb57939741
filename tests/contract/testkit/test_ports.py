"""Ports for tests, of several processes at once."""

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from testkit import ROOT
from testkit.processes.ports import free_port

CODE = """
from testkit.processes.ports import free_port
print(*(free_port() for _ in range(80)), flush=True)
input()
"""


def test_no_port_is_given_to_two_processes() -> None:
    """Nobody listens there yet, so that a look at the port alone would give it to both."""
    argv, given = [sys.executable, "-c", CODE], [free_port() for _ in range(80)]
    with ExitStack() as running:
        for _ in range(3):
            popen = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
            )
            process = running.enter_context(popen)
            assert process.stdout is not None
            given += map(int, process.stdout.readline().split())
            assert process.stdin is not None
            running.callback(process.stdin.close)
    assert len(set(given)) == len(given) == 320


def test_ports_are_none_that_the_kernel_gives_to_clients() -> None:
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert free_port() < lowest
