"""What chaos does to a daemon is what it says: clocks are stepped, frozen ones can be stopped."""

import sys
import time
from pathlib import Path

from testkit.chaos.daemons import Clock, Daemons, Slot
from testkit.processes.daemons import Process

DAEMON = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("d: ready", flush=True)
while True:
    signal.pause()
"""


def test_host_with_a_stepped_clock_can_sleep(tmp_path: Path) -> None:
    clock, code = Clock(tmp_path, "host"), "import time; time.sleep(0.01); print(time.time())"
    environment = clock.environment()
    for number, step in enumerate([0.0, 3600.0, -3600.0]):
        clock.set(step)
        log = tmp_path / f"{number}.log"
        process = Process([sys.executable, "-c", code], log, environment)
        process.assert_exit(0, 30)
        assert abs(float(process.output()) - time.time() - step) < 60


def test_frozen_daemon_ends_when_it_is_stopped(tmp_path: Path) -> None:
    begin = lambda name: Process([sys.executable, "-c", DAEMON], tmp_path / f"{name}.log")  # noqa: E731
    slot = Slot("d0", begin, "d: ready", Clock(tmp_path, "host"))
    daemons = Daemons([slot], [], [], [])
    try:
        first = slot.process
        first.wait_for_output("ready", 30)
        daemons.freeze(slot, 3600.0)
        daemons.stop(slot)
        assert first.wait(10) == 0
        slot.process.wait_for_output("ready", 30)
        daemons.end()
    finally:
        daemons.abandon()
    assert not daemons.unexpected
