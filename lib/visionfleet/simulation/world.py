"""The simulated service: a queue with lagging counts, workers that boot, crash and cost money.

Time advances in whole seconds. Images are processed in FIFO order; one in flight on a worker that
is terminated or crashes becomes visible again after the visibility timeout, as with SQS.
"""

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Protocol

from visionfleet.scaler import learned_times
from visionfleet.scaler.decision import Decision, Observation, State, Worker
from visionfleet.simulation.backlog import Backlog
from visionfleet.simulation.conditions import Conditions
from visionfleet.simulation.markets import NOTICE_SECONDS, Markets
from visionfleet.simulation.outcome import Outcome
from visionfleet.simulation.worker_model import WorkerModel

_SECONDS_PER_HOUR = 3600.0
_DRAIN_LIMIT_SECONDS = 86400  # to drain the queue after the end of the trace


class Controller(Protocol):
    """A policy under test, called every `interval_seconds`; it keeps its own state."""

    interval_seconds: int

    def __call__(self, seen: Observation, now: float, /) -> Decision: ...


@dataclass(slots=True)
class Machine:
    view: Worker
    ready_at: float


@dataclass(slots=True)
class World:
    """One replay: `run` plays all arrivals, then waits until the queue is empty."""

    conditions: Conditions
    controller: Controller
    random: Random = field(init=False)
    _backlog: Backlog = field(default_factory=Backlog)
    _booting: list[Machine] = field(default_factory=list)
    _ready: list[Machine] = field(default_factory=list)
    _draining: dict[str, tuple[Machine, int]] = field(default_factory=dict)
    _drained: list[Machine] = field(default_factory=list)
    _credit: float = 0.0
    _starts: deque[int] = field(default_factory=deque)
    _recent_starts: int = 0
    _in_service: float = 0.0
    _busy: int = 0
    _most_busy: int = 0  # since the last observation
    _counted: int = 0
    _seen_counts: deque[tuple[int, int]] = field(default_factory=deque)
    _reported: tuple[int, int, int] = (0, 0, 0)  # second, images, images at the previous report
    _workers: WorkerModel = field(init=False)
    _reported_service_seconds: float | None = None
    _markets: Markets = field(init=False)
    _launches: int = 0
    _busy_kills: int = 0
    _peak: int = 0
    _timeline: list[tuple[int, int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        conditions = self.conditions
        self.random = Random(conditions.seed)
        least = conditions.minimum_billed_seconds
        self._markets = Markets(conditions.market, self.random, least)
        self._workers = WorkerModel(conditions.call_seconds, conditions.service_seconds)
        window = max(1, math.ceil(self.conditions.service_seconds))
        self._starts = deque([0] * window)

    def run(self, arrivals: Sequence[int], progress: Callable[[], None] = lambda: None) -> Outcome:
        """Play the arrivals of each second; `progress` is called every simulated hour."""
        interval, next_look, second = self.controller.interval_seconds, 0, 0
        last, soon = len(arrivals), False
        while second < last or (self._backlog.left and second < last + _DRAIN_LIMIT_SECONDS):
            self._backlog.arrive(second, arrivals[second] if second < last else 0)
            self._move(second)
            self._serve(second)
            if second >= next_look or soon:
                next_look += interval if second >= next_look else 0
                soon = self._step(second)
            second += 1
            if second % 3600 == 0:
                progress()
        return self._outcome(second)

    def _move(self, second: int) -> None:
        if self._booting:
            self._come_up(second)
        if self._draining:
            self._finish_drains(second)
        rate = self.conditions.crashes_per_hour
        if rate and self._ready and self.random.random() < rate * len(self._ready) / 3600:
            self._crash(second)
        if taken := self._markets.interrupted(machine.view for machine in self._ready):
            self._interrupt(taken.name, second)

    def _come_up(self, second: int) -> None:
        for machine in [m for m in self._booting if m.ready_at <= second]:
            self._booting.remove(machine)
            machine.view = replace(machine.view, state="idle", since=second, reported_at=math.inf)
            self._ready.append(machine)
            if self.conditions.service_seconds > 1:
                self._credit += 1  # so that it starts its first image at once

    def _finish_drains(self, second: int) -> None:
        for name in [name for name, (_, at) in self._draining.items() if at <= second]:
            machine, _ = self._draining.pop(name)
            machine.view = replace(machine.view, state="drained", since=float(second))
            self._drained.append(machine)

    def _serve(self, second: int) -> None:
        workers, service = len(self._ready), self.conditions.service_seconds
        credit = self._credit + workers / service
        starts = min(self._backlog.visible, int(credit))
        # An idle worker starts at once, but idle time is not accumulated.
        self._credit = min(credit - starts, workers if service > 1 else min(1.0, workers))
        window = self._starts
        self._recent_starts += starts - window.popleft()
        window.append(starts)
        self._in_service = min(workers, self._recent_starts * service / len(window))
        self._most_busy = max(self._most_busy, math.ceil(self._in_service))
        if starts:
            self._backlog.start(second, starts)
        self._seen_counts.append((self._backlog.visible, round(self._in_service)))
        if second % self.conditions.report_seconds == 0:
            self._reported = (second, self._backlog.started, self._reported[1])
            if self._ready:
                report = self._workers.report(float(second), self._backlog.started, workers)
                self._reported_service_seconds = learned_times.service_seconds([report])

    def _step(self, second: int) -> bool:
        """Observe, decide and act; whether the controller wants to observe again at once."""
        decision = self.controller(self._observe(second), float(second))
        for name in decision.terminate:
            self._terminate(name, second)
        for name in decision.drain:
            self._drain(name, second)
        self._launch(decision.launch, second)
        size = len(self._machines())
        self._peak = max(self._peak, size)
        if second % 60 == 0:
            self._timeline.append((second, self._backlog.visible, size))
        return decision.recheck

    def _machines(self) -> list[Machine]:
        draining = (machine for machine, _ in self._draining.values())
        return [*self._ready, *self._booting, *draining, *self._drained]

    def _observe(self, second: int) -> Observation:
        conditions = self.conditions
        while len(self._seen_counts) > conditions.lag_seconds + 1:
            self._seen_counts.popleft()
        visible, in_flight = self._seen_counts[0]
        if (noise := conditions.noise) and visible:
            visible = max(0, round(visible * self.random.uniform(1 - noise, 1 + noise)))
        if conditions.phantoms and self.random.random() < conditions.phantoms:
            visible += self.random.randint(1, 2)
        self._mark_busy(float(second))
        return Observation(
            visible=visible,
            in_flight=in_flight,
            workers=tuple(machine.view for machine in self._machines()),
            boot_seconds=self.next_start_seconds(second) if self._backlog.started else None,
            service_seconds=self._reported_service_seconds,
            handled=self._handled(second),
        )

    def _handled(self, second: int) -> float:
        """The reported count, extrapolated by the rate of the last two reports."""
        at, images, before = self._reported
        return images + (images - before) / self.conditions.report_seconds * (second - at)

    def _mark_busy(self, now: float) -> None:
        """Set busy and idle since the last observation: the first if packed, else random ones."""
        ready, images = self._ready, max(0, self._backlog.started - self._counted)
        self._counted = self._backlog.started
        busy = min(len(ready), math.ceil(self._in_service))
        packed, most = self.conditions.packed, self._most_busy
        self._most_busy = busy
        if len(ready) > 1 and not packed:
            self.random.shuffle(ready)
        untouched = (1 - 1 / len(ready)) ** images if ready else 1.0
        for index, machine in enumerate(ready):
            view = machine.view
            state: State = "busy" if index < busy else "idle"
            worked = index < most if packed else self.random.random() >= untouched
            if view.state != state or (worked and state == "idle"):
                machine.view = replace(view, state=state, since=now)
        self._busy = busy

    def _launch(self, count: int, second: int) -> None:
        conditions = self.conditions
        market = self._markets.launch(second) if count else None
        for _ in range(count if market else 0):
            if conditions.refused and self.random.random() < conditions.refused:
                continue
            self._launches += 1
            name = f"w{self._launches}"
            view = Worker(name, "booting", second, second, market=market)
            self._booting.append(Machine(view, second + self.start(name, second)))

    def _interrupt(self, name: str, second: int) -> None:
        """Drain a worker before its interruption; an image that takes longer is redelivered."""
        if self.conditions.service_seconds > NOTICE_SECONDS and self._busy:
            self._backlog.give_back(second + NOTICE_SECONDS, self.conditions.visibility_seconds)
        self._drain(name, second)

    def _drain(self, name: str, second: int) -> None:
        for machine in self._ready:
            if machine.view.name == name:
                self._ready.remove(machine)
                machine.view = replace(machine.view, state="draining", since=float(second))
                until = second + self.conditions.drain_seconds
                self._draining[name] = (machine, until)
                return

    def _terminate(self, name: str, second: int) -> None:
        for index, machine in enumerate(self._ready):
            if machine.view.name == name:
                if index < self._busy:
                    self._busy -= 1
                    self._cut_off(second)
                self._end(machine, self._ready, second)
                return
        for machines in (self._booting, self._drained):
            for machine in machines:
                if machine.view.name == name:
                    self._end(machine, machines, second)
                    return

    def _cut_off(self, second: int) -> None:
        """Terminate a busy worker; its image is redelivered unless done in the grace period."""
        if self.conditions.service_seconds > self.conditions.grace_seconds:
            self._busy_kills += 1
            self._backlog.give_back(second, self.conditions.visibility_seconds)

    def _crash(self, second: int) -> None:
        index = self.random.randrange(len(self._ready))
        if index < math.ceil(self._in_service):
            self._backlog.give_back(second, self.conditions.visibility_seconds)
        self._end(self._ready[index], self._ready, second)

    def _end(self, machine: Machine, machines: list[Machine], second: int) -> None:
        machines.remove(machine)
        self.end(machine, second)

    def next_start_seconds(self, _second: int) -> float:
        """The median duration of the next start."""
        return self.conditions.boot_seconds

    def start(self, _name: str, second: int) -> float:
        """Start a worker; returns the seconds until it is ready."""
        spread = self.random.gauss(0, self.conditions.boot_spread)
        return self.next_start_seconds(second) * math.exp(spread)

    def end(self, machine: Machine, second: int) -> None:
        self._markets.bill(machine.view, second)

    def _outcome(self, second: int) -> Outcome:
        for machine in self._machines():
            self._markets.bill(machine.view, second)
        return Outcome(
            waits=self._backlog.waits,
            billed_hours=sum(self._markets.billed_seconds.values()) / _SECONDS_PER_HOUR,
            on_demand_hours=self._markets.billed_seconds["on-demand"] / _SECONDS_PER_HOUR,
            spot_refusals=self._markets.refusals,
            interruptions=self._markets.interruptions,
            lost=self._backlog.lost,
            work_hours=self._backlog.started * self.conditions.service_seconds / _SECONDS_PER_HOUR,
            launches=self._launches,
            busy_kills=self._busy_kills,
            peak_workers=self._peak,
            unserved=self._backlog.visible,
            timeline=tuple(self._timeline),
        )
