"""The scaler's metrics for Prometheus, in a registry of their own."""

import math
from collections.abc import Sequence
from functools import partial
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from visionfleet.config.fields import Market
from visionfleet.contract.usage import FleetCost
from visionfleet.cost.bill import PERIODS
from visionfleet.scaler.boots import PHASES
from visionfleet.scaler.decision import Decision, Observation, Policy, State
from visionfleet.scaler.sizing import wanted
from visionfleet.scaler.usage import Used

_BOOT_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 20, 30, 45, 60, 90, 120, 300)
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class ScalerMetrics:
    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        gauge = partial(Gauge, namespace="visionfleet", registry=registry)
        self._visible = gauge("queue_visible", "Requests that wait, as SQS says.")
        self._in_flight = gauge("queue_in_flight", "Requests that workers hold.")
        self._workers = gauge("workers", "Workers by state.", ["state"])
        about = "Workers that are bought, by market."
        self._market_workers = gauge("market_workers", about, ["market"])
        about = "1 while not all workers are of the market that is preferred, as it refuses."
        self._market_refused = gauge("market_refused", about)
        self._wanted = gauge("workers_wanted", "Workers that the last decision wants.")
        self._minimum = gauge("workers_minimum", "Workers that always run.")
        self._maximum = gauge("workers_maximum", "Workers at the most.")
        counter = partial(Counter, namespace="visionfleet", subsystem="scaler", registry=registry)
        self.launches = counter("launches", "Workers launched.")
        self.drains = counter("drains", "Workers asked to drain.")
        self.terminations = counter("terminations", "Workers terminated.")
        self._images = counter("images", "Images that workers finished while this scaler acted.")
        kind = ["instance_type", "market"]
        seconds = "Seconds that are paid for workers, while this scaler acted."
        self._worker_seconds = counter("worker_seconds", seconds, kind)
        dollars = "Dollars by the table of prices, what has no price left out."
        self._dollars = gauge("cost_dollars", dollars, ["period"])
        self.ticks = counter("ticks", "Ticks, failed ones too.")
        self.failed_ticks = counter("failed_ticks", "Ticks that failed.")
        succeeded = "Unix time of the last tick that did not fail, 0 before one."
        self.succeeded_at = gauge("scaler_last_tick_timestamp_seconds", succeeded)
        self.lease_held = gauge("scaler_lease_held", "1 while this scaler acts.")
        histogram = partial(Histogram, namespace="visionfleet", registry=registry)
        about = "Seconds of a look and the decision on it."
        self._seconds = histogram("scaler_decision_seconds", about, buckets=_SECONDS)
        about = "Seconds from the launch of a worker until it was ready."
        self._boots = histogram("launch_to_ready_seconds", about, buckets=_BOOT_SECONDS)
        about = "Seconds of one phase of that."
        self._phases = histogram("boot_phase_seconds", about, ["phase"], buckets=_BOOT_SECONDS)
        self._create_labels()

    def _create_labels(self) -> None:
        for phase in PHASES:
            self._phases.labels(phase)
        self._count_workers(())
        self._count_markets(())
        self._worker_seconds.labels("", "")
        for period in PERIODS:
            self._dollars.labels(period).set(math.nan)  # not known yet

    def observed(
        self, seen: Observation, decision: Decision, policy: Policy, now: float, seconds: float
    ) -> None:
        self._visible.set(seen.visible)
        self._in_flight.set(seen.in_flight)
        self._count_workers([worker.state for worker in seen.workers])
        self._count_markets([worker.market for worker in seen.workers])
        self._market_refused.set(bool(seen.market_reason))
        self._wanted.set(wanted(seen, decision))
        self._minimum.set(policy.minimum_at(now))
        self._maximum.set(policy.maximum)
        self._seconds.observe(seconds)
        for boot in seen.boots:
            self._boots.observe(boot.seconds)
            for phase, lasted in boot.phases.items():
                self._phases.labels(phase).observe(lasted)

    def used(self, used: Used, cost: FleetCost | None) -> None:
        self._images.inc(used.images)
        for (instance_type, market), seconds in used.worker_seconds.items():
            self._worker_seconds.labels(instance_type or "", market or "").inc(seconds)
        for one in cost.periods if cost else ():
            self._dollars.labels(one.period).set(math.nan if one.dollars is None else one.dollars)

    def _count_workers(self, states: Sequence[State]) -> None:
        for state in get_args(State):
            self._workers.labels(state).set(states.count(state))

    def _count_markets(self, markets: Sequence[Market | None]) -> None:
        for market in get_args(Market):
            self._market_workers.labels(market).set(markets.count(market))
