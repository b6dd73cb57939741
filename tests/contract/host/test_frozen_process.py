"""A process that was stopped (SIGSTOP) and asked to end meanwhile ends when it is continued."""

import signal
import sys
import time
from pathlib import Path

from testkit.processes.daemons import Process
from testkit.processes.ports import free_port

DAEMON = """
import logging, threading, time
from visionfleet.host.process import signal_events

def work():
    while True:
        time.sleep(0.001)

for _ in range(8):
    threading.Thread(target=work, daemon=True).start()
signals = signal_events(logging.getLogger("daemon"))
print("ready", flush=True)
while not signals.wait(threading.TIMEOUT_MAX):
    pass
"""


def test_frozen_embedded_aws_hears_its_stop(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "testkit.aws.embedded_server", "--port", str(free_port())]
    end_while_frozen(command, "embedded AWS at", tmp_path)


def test_frozen_process_with_threads_hears_its_stop(tmp_path: Path) -> None:
    end_while_frozen([sys.executable, "-c", DAEMON], "ready", tmp_path)


def end_while_frozen(command: list[str], ready: str, tmp_path: Path) -> None:
    for number in range(3):  # another thread may take the signal, or the main one
        process = Process(command, tmp_path / f"{number}.log")
        try:
            process.wait_for_output(ready, 30)
            process.signal(signal.SIGSTOP)
            time.sleep(0.1)
            process.signal(signal.SIGTERM)
            process.signal(signal.SIGCONT)
            assert process.wait(20) == 0
        finally:
            process.kill()
