"""Estimates a worker's capacity in images per second from recent stage timings. No I/O here.

At a low rate the latency of an image does not tell how many a worker could process in parallel. So
each stage estimates its own throughput with full batches; the bottleneck stage, the prefetch and
the CPU time bound the whole. While the worker is saturated, its measured throughput corrects the
estimate.
"""

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median_low

FETCH, MODEL, STORE, FINISH = "fetch", "model", "store", "finish"
FETCH_THREADS = 8  # mostly waiting for S3
ANSWER_THREADS, ANSWER_BATCH = 2, 10  # the largest batch of an SQS call
MOST_STORE_THREADS = 32
_MEMORY_CALLS = 100  # kept for each stage
_OUTLIER = 1.5  # times the median of its batch size
_PRIOR_VARIANCE = 0.25  # weight of the assumed cost per item, as a variance of batch sizes
_FULL_SHARE = 0.75  # of the target in flight: the worker counts as saturated
_FULL_SECONDS = 2.0  # of saturation, before the measured throughput counts
_IN_FLIGHT_SECONDS = 2.0  # of work that a worker may hold, so that others are not left idle
_CPU_SPANS = 8
_FEW_IMAGES = 8  # fewer give no useful mean
_MEMORY_SPANS = 4.0


def store_threads(prefetch: int) -> int:
    """Half of the messages in flight may be stored at a time: 8 threads store 80 a second."""
    return min(MOST_STORE_THREADS, (prefetch + 1) // 2)


@dataclass(slots=True)
class StageMeter:
    """Call timings of a stage of `width` threads that take up to `batch` items a call.

    `shared`: assume that a call takes equally long for one item and for many, until batches of
    several sizes have been seen.
    """

    width: int
    batch: int
    shared: bool = False
    _calls: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=_MEMORY_CALLS))

    def note(self, items: int, seconds: float) -> None:
        self._calls.append((items, seconds))

    def seconds(self, items: int) -> float | None:
        """The duration of a call with so many items, by linear regression; None without calls."""
        calls = _usual(list(self._calls))
        if not calls:
            return None
        count, size = len(calls), fmean(size for size, _ in calls)
        seconds = fmean(spent for _, spent in calls)
        variance = sum((one - size) ** 2 for one, _ in calls) / count
        product = sum((one - size) * (spent - seconds) for one, spent in calls) / count
        supposed = 0.0 if self.shared else seconds / size
        each = (product + _PRIOR_VARIANCE * supposed) / (variance + _PRIOR_VARIANCE)
        each = min(max(each, 0.0), seconds / size)
        return max(seconds + each * (items - size), each * items)

    def delay_seconds(self) -> float:
        """Estimate how long an item waits here beyond its share of the threads' time: for the rest
        of its call and, in shared calls, for the call before.
        """
        alone, rate = self.seconds(1) or 0.0, self.per_second()
        before = alone / (self.width + 1) if self.shared else 0.0
        return max(0.0, alone - 1 / rate) + before if rate else 0.0

    def per_second(self) -> float | None:
        """Throughput of all threads with full batches."""
        seconds = self.seconds(self.batch)
        return self.width * self.batch / seconds if seconds else None


def _usual(calls: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """Drop outliers: calls slowed down by an outage or by other processes."""
    by_size: dict[int, list[float]] = {}
    for items, seconds in calls:
        by_size.setdefault(items, []).append(seconds)
    limits = {items: _OUTLIER * median_low(spent) for items, spent in by_size.items()}
    return [call for call in calls if call[1] <= limits[call[0]]]


def throughput(shares: Sequence[float], delay_seconds: float, in_flight: int) -> float:
    """Items per second of a closed queueing network with `in_flight` items, by mean value analysis.

    `shares` are the service times of the stages, `delay_seconds` is spent outside of their queues.
    """
    waiting, rate = [0.0] * len(shares), 0.0
    for items in range(1, in_flight + 1):
        spent = [share * (1 + before) for share, before in zip(shares, waiting, strict=True)]
        rate = items / (delay_seconds + sum(spent))
        waiting = [rate * seconds for seconds in spent]
    return rate


@dataclass(slots=True)
class Capacity:
    """The estimate for a worker; `cpu_seconds` returns the CPU time used so far on `cores`."""

    prefetch: int = 1
    cores: int = 1
    cpu_seconds: Callable[[], float] | None = None
    _target: int = 1
    _meters: Mapping[str, StageMeter] = field(default_factory=dict)
    _correction: float = 1.0
    _spans: float = 0.0
    _full_since: tuple[float, int] | None = None
    _cpu_each: deque[float] = field(default_factory=lambda: deque(maxlen=_CPU_SPANS))
    _last: tuple[float, int] | None = None  # time, images handled
    _spent: tuple[float, int] | None = None  # CPU seconds, images handled

    def measure(self, prefetch: int, batch: int) -> Mapping[str, StageMeter]:
        """Make the meters of the stages; from now on the estimate uses them."""
        self.prefetch, self._target = prefetch, min(prefetch, batch)
        self._meters = {
            FETCH: StageMeter(FETCH_THREADS, 1),
            MODEL: StageMeter(1, batch),
            STORE: StageMeter(store_threads(prefetch), 1),
            FINISH: StageMeter(ANSWER_THREADS, ANSWER_BATCH, shared=True),
        }
        return self._meters

    @property
    def measured(self) -> Mapping[str, StageMeter]:
        return self._meters

    def target_in_flight(self) -> int:
        """How many messages keep the worker busy: one batch until speeds are known, then at most
        the prefetch, less with a slow model.
        """
        return self._target

    def observe(self, now: float, in_flight: int, handled: int) -> None:
        """Sample the load; the real throughput of a saturated worker corrects the estimate."""
        model = self._meters.get(MODEL)
        if model and model.per_second() and (rate := self.per_second()):  # not fetches alone
            needed = math.ceil(rate * (_IN_FLIGHT_SECONDS + self._delay_seconds()))
            self._target = min(self.prefetch, needed)
        if in_flight < _FULL_SHARE * self._target:
            self._full_since = None
        elif self._full_since is None:
            self._full_since = now, handled
        elif now - self._full_since[0] >= _FULL_SECONDS:
            since, before = self._full_since
            self._correct((handled - before) / (now - since))
            self._full_since = now, handled

    def report(self, now: float, handled: int) -> tuple[float | None, float | None]:
        """Images per second, and the utilization since the last call."""
        at, before = self._last or (now, handled)
        self._last, images = (now, handled), handled - before
        self._note_cpu(handled)
        capacity = self.per_second()
        if capacity is None or now <= at:
            return capacity, None
        return capacity, min(1.0, images / (now - at) / capacity)

    def _note_cpu(self, handled: int) -> None:
        """Learn the CPU time per image, averaged over several; start-up is not counted."""
        if self.cpu_seconds is None:
            return
        spent = self.cpu_seconds()
        before, images = self._spent or (spent, handled)
        if not handled:  # starting or warming up
            self._spent = spent, 0
        elif handled - images >= _FEW_IMAGES or self._spent is None:
            self._spent, new = (spent, handled), handled - images
            if new:
                self._cpu_each.append((spent - before) / new)

    def per_second(self) -> float | None:
        estimate = self._estimate()
        return None if estimate is None else estimate * self._correction

    def _estimate(self) -> float | None:
        known = [meter for meter in self._meters.values() if meter.per_second()]
        if not known:
            return None
        shares = [1 / (meter.per_second() or 1.0) for meter in known]
        if self._cpu_each:  # the minimum leaves out other work, such as starting child processes
            shares.append(min(self._cpu_each) / self.cores)
        return throughput(shares, self._delay_seconds(), self.prefetch)

    def _delay_seconds(self) -> float:
        delay = sum(meter.delay_seconds() for meter in self._meters.values())
        store = self._meters.get(STORE)
        if store is not None:  # a freed slot waits for a receive: an AWS call of about this length
            delay += store.seconds(1) or 0.0
        return delay

    def _correct(self, seen: float) -> None:
        estimate = self._estimate()
        if estimate and seen > 0:
            self._spans = min(self._spans + 1, _MEMORY_SPANS)
            self._correction += (seen / estimate - self._correction) / self._spans
