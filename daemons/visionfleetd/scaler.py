"""The scaler daemon: observes, decides, acts and reports, once per interval."""

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from visionfleet import cores, ids, messages, runtime, watching
from visionfleet.config import Config
from visionfleet.connections import access
from visionfleet.errors import BadMessage, TryLater
from visionfleet.fleet import Fleet, Member
from visionfleet.messages import FleetStatus, WorkerReport
from visionfleet.queues import Queue
from visionfleet.scaling import POLICIES, Decide, Decision, History, Observation, Policy
from visionfleet.store import Store
from visionfleetd import fleets, startup

log = logging.getLogger("scaler")

STATUS_SECONDS = 60.0  # an unchanged status is written this often, as a sign of life


@dataclass(slots=True)
class Scaler:
    """One scaler: `tick` is one look, one decision and its steps."""

    requests: Queue
    store: Store
    fleet: Fleet
    decide: Decide
    policy: Policy
    new_id: Callable[[float], str]
    history: History = field(default_factory=History)
    _asked: set[str] = field(default_factory=set)
    _status: FleetStatus | None = None
    _written: FleetStatus | None = None

    def tick(self, now: float) -> Decision:
        """Observe, decide, act, report; raises TryLater when something does not answer."""
        seen = self._observe()
        decision, self.history = self.decide(seen, self.policy, self.history, now)
        _log_decision(decision)
        self._act(decision, now)
        self._report(seen, decision, now)
        return decision

    def _observe(self) -> Observation:
        counts = self.requests.counts()
        members = self.fleet.members()
        self._asked &= {member.name for member in members}
        reports = {m.name: report for m in members if (report := self._report_of(m)) is not None}
        workers = [watching.worker(m, reports.get(m.name), m.name in self._asked) for m in members]
        return watching.observe(counts.visible, counts.in_flight, workers, reports.values())

    def _report_of(self, member: Member) -> WorkerReport | None:
        found = self.store.find(messages.worker_key(member.name))
        if found is None:
            return None
        try:
            return messages.decode_report(found.decode())
        except BadMessage as error:
            log.warning("report unreadable", extra={"worker": member.name, "reason": str(error)})
            return None

    def _act(self, decision: Decision, now: float) -> None:
        for worker in decision.terminate:
            self.fleet.terminate([worker])
            self.store.delete(messages.worker_key(worker))
            self.store.delete(messages.drain_key(worker))
        for worker in decision.drain:
            self.store.put(messages.drain_key(worker), str(now).encode(), "text/plain")
            self._asked.add(worker)
        if decision.launch:
            decision_id = self.new_id(now)
            started = self.fleet.launch(decision.launch, decision_id)
            log.info("launched", extra={"decision": decision_id, "workers": ",".join(started)})

    def _report(self, seen: Observation, decision: Decision, now: float) -> None:
        limits = (self.policy.minimum, self.policy.maximum)
        self._status = watching.status(seen, decision, limits, self._status, now)
        if watching.worth_writing(self._status, self._written, STATUS_SECONDS):
            self.store.put_json(messages.STATUS_KEY, messages.encode(self._status))
            self._written = self._status


def main(argv: Sequence[str] | None = None) -> None:
    """Run the daemon; the exit status says how it ended."""
    parser = startup.parser("scaler", __doc__ or "")
    parser.add_argument("--once", action="store_true", help="one look and its steps, then exit")
    arguments = parser.parse_args(argv)
    config = startup.configuration(arguments)
    stop = threading.Event()
    runtime.stop_on_signals(lambda name: _note_signal(name, stop))
    sys.exit(_run(config, stop, arguments.once))


def _note_signal(name: str, stop: threading.Event) -> None:
    log.info("stopping", extra={"signal": name})
    stop.set()


def _run(config: Config, stop: threading.Event, once: bool) -> int:
    door, random = access(config.aws), Random()
    sqs = door.client("sqs")
    store = Store(door.client("s3"), config.storage.output_bucket)
    policy = _policy(config)
    asker = _decision_id(time.time())
    fleet = fleets.fleet(config, door, store, policy.maximum, asker, random)
    name = messages.requests_queue(config.name)
    if not startup.verify(
        (store.verify, lambda: Queue(sqs, name), fleet.verify), stop, log, random
    ):
        return runtime.EXIT_OK
    chosen = POLICIES[config.scaler.policy]
    scaler = Scaler(Queue(sqs, name), store, fleet, chosen, policy, _decision_id)
    log.info(
        "ready",
        extra={"fleet": config.scaler.fleet, "policy": config.scaler.policy}
        | {"minimum": policy.minimum, "maximum": policy.maximum},
    )
    runtime.notify("READY=1")
    _loop(scaler, config.scaler.interval_seconds, stop, once)
    runtime.notify("STOPPING=1")
    log.info("stopped")
    return runtime.EXIT_OK


def _loop(scaler: Scaler, interval_seconds: float, stop: threading.Event, once: bool) -> None:
    """Tick until stopped; a failed look changes nothing, and is told once per episode."""
    failing = False
    while True:
        try:
            scaler.tick(time.time())
            failing = False
        except TryLater as error:
            log.log(logging.DEBUG if failing else logging.WARNING, "tick failed: %s", error)
            failing = True
        if once or stop.wait(interval_seconds):
            return


def _decision_id(now: float) -> str:
    return ids.new_job_id(now, os.urandom(ids.RANDOM_BYTES))


def _policy(config: Config) -> Policy:
    settings = config.scaler
    maximum = cores.granted() if settings.maximum == "cores" else settings.maximum
    return Policy(
        minimum=min(settings.minimum, maximum),
        maximum=maximum,
        hold_seconds=settings.hold_seconds,
        target_wait_seconds=settings.target_wait_seconds,
        boot_seconds=settings.boot_seconds,
        service_seconds=settings.service_seconds,
        paid_seconds=settings.paid_seconds,
        boot_limit_seconds=settings.boot_limit_seconds,
        silent_seconds=settings.silent_seconds,
    )


def _log_decision(decision: Decision) -> None:
    if decision.at_maximum:
        log.warning("at maximum", extra={"reason": decision.reason})
    elif decision.changes:
        fields = {"launch": decision.launch, "drain": ",".join(decision.drain)}
        gone = {"terminate": ",".join(decision.terminate)}
        log.info("decision", extra=fields | gone | {"reason": decision.reason})
    else:
        log.debug("decision", extra={"reason": decision.reason})


if __name__ == "__main__":
    main()
