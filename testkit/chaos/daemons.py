"""The daemons of a chaos run: what ends is started again, as systemd would."""

import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from testkit.chaos.plan import MAX_INSTANCES, Plan
from testkit.processes.clocks import set_clock
from testkit.processes.daemons import Process
from testkit.processes.fork_server import fork_server
from testkit.processes.ports import free_port

SETTINGS = f"""
queue: {{visibility_timeout_seconds: 8, wait_seconds: 1}}
classifier: {{report_seconds: 2, stop_seconds: 5}}
web: {{stop_seconds: 3}}
model: {{threads: 1}}
aws: {{read_timeout_seconds: 3}}
scaler:
  fleet: ec2
  interval_seconds: 1
  hold_seconds: 5
  lease_seconds: 8
  maximum: {MAX_INSTANCES}
ec2: {{launch_template: workers}}
"""


@dataclass(frozen=True)
class Clock:
    """The wall clock of a host, right at first; `environment` is that of its daemons."""

    folder: Path
    host: str

    def set(self, seconds: float) -> None:
        """Step it to so many seconds from the right time."""
        set_clock(self.folder, self.host, seconds)

    def environment(self) -> dict[str, str]:
        return set_clock(self.folder, self.host, 0.0)


@dataclass
class Slot:
    """One daemon after another; each process has a name and a log of its own."""

    name: str
    begin: Callable[[str], Process]
    ready: str
    clock: Clock
    starts: int = 0
    frozen_until: float = 0.0
    process: Process = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        self.starts += 1
        self.frozen_until = 0.0
        self.process = self.begin(f"{self.name}-{self.starts}")

    @property
    def kind(self) -> str:
        return self.ready.partition(":")[0]

    def is_ready(self) -> bool:
        return self.process.running and self.ready in self.process.output()


class Daemons:
    """All slots, and those that are about to stop."""

    def __init__(
        self, workers: list[Slot], webs: list[Slot], scalers: list[Slot], ports: list[int]
    ) -> None:
        self.webs, self.ports = webs, ports
        self.slots = [*workers, *webs, *scalers]
        self._stopping: list[Process] = []
        self.unexpected: list[str] = []
        self.unclean = 0

    def ready(self) -> list[Slot]:
        return [slot for slot in self.slots if slot.is_ready()]

    def all_ready(self) -> bool:
        return len(self.ready()) == len(self.slots)

    def tails(self) -> str:
        """Show the ends of the logs of who is not ready."""
        return "\n".join(slot.process.tail() for slot in self.slots if not slot.is_ready())

    def kill(self, slot: Slot) -> None:
        """End a daemon at this very instant, and start the next one."""
        slot.process.kill()
        slot.start()

    def stop(self, slot: Slot) -> None:
        """Ask a daemon to stop, a frozen one too, as systemd does; the next worker starts
        meanwhile, the next web has to wait."""
        slot.process.signal(signal.SIGTERM)
        self._thaw(slot)
        self._stopping.append(slot.process)
        if slot in self.webs:
            self._end(slot.process)
        slot.start()

    def freeze(self, slot: Slot, seconds: float) -> None:
        slot.process.signal(signal.SIGSTOP)
        slot.frozen_until = time.monotonic() + seconds

    def tend(self) -> None:
        """Let go on what was frozen for long enough, and restart what ended by itself."""
        for slot in self.slots:
            if slot.frozen_until and time.monotonic() > slot.frozen_until:
                self._thaw(slot)
            if not slot.process.running:
                self.unexpected.append(slot.process.tail(12))
                slot.start()

    def thaw(self) -> None:
        for slot in self.slots:
            self._thaw(slot)

    def end(self) -> None:
        """End all in an orderly way, and see how they did."""
        self.thaw()
        for slot in self.slots:
            slot.process.signal(signal.SIGTERM)
            self._stopping.append(slot.process)
        for process in self._stopping:
            self._end(process)

    def abandon(self) -> None:
        """Leave no process behind, whatever happened."""
        for process in (*(slot.process for slot in self.slots), *self._stopping):
            process.kill()

    def _thaw(self, slot: Slot) -> None:
        slot.process.signal(signal.SIGCONT)
        slot.frozen_until = 0.0

    def _end(self, process: Process) -> None:
        status = process.wait(60)
        self.unclean += status == 1  # it could not hand all back, for want of SQS
        booting = status == -signal.SIGTERM and "ready" not in process.output()
        if status not in (0, 1) and not booting:
            self.unexpected.append(process.tail(12))


def worker_name(number: int) -> str:
    """The name of its processes begins with this, and a dash."""
    return f"w{number}"


@contextmanager
def daemons(folder: Path, environment: Mapping[str, str], plan: Plan) -> Iterator[Daemons]:
    """Start them for the length of a with block; all workers are one host, with one clock."""
    config = folder / "chaos.yaml"
    config.write_text(SETTINGS)
    common = {**environment, "RUNTIME_DIRECTORY": str(folder), "AWS_MAX_ATTEMPTS": "3"}
    clock, ports = Clock(folder, "workers"), [free_port() for _ in range(plan.webs)]
    module, log = "visionfleetd.classifier.main", folder / "fork-server.log"
    with fork_server(module, log, {**common, **clock.environment()}) as server:

        def worker(runtime: str, name: str) -> Process:
            arguments = ["--config", str(config), "--worker", name]
            own = {"VISIONFLEET_MODEL__RUNTIME": runtime}
            return server.start(arguments, folder / f"{name}.log", own)

        def slot(number: int) -> Slot:
            begin = partial(worker, plan.runtime_of(number))
            return Slot(worker_name(number), begin, "classifier: ready", clock)

        def other(daemon: str, number: int, **more: str) -> Slot:
            """Make a slot of a host of its own."""
            clock = Clock(folder, f"{daemon}-{number}")
            argv = [sys.executable, "-m", f"visionfleetd.{daemon}.main", "--config", str(config)]
            over = {**common, **clock.environment(), **more}
            begin = lambda name: Process(argv, folder / f"{name}.log", over)  # noqa: E731
            return Slot(f"{daemon}{number}", begin, f"{daemon}: ready", clock)

        slots = [slot(number) for number in range(plan.workers)]
        webs = [other("web", i, VISIONFLEET_WEB__PORT=str(port)) for i, port in enumerate(ports)]
        scalers = [other("scaler", i) for i in range(plan.scalers)]
        made = Daemons(slots, webs, scalers, ports)
        try:
            yield made
        finally:
            made.abandon()
