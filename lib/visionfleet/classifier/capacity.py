"""What a worker can do: images a second, from what its stages were busy for lately. No I/O here.

At a low rate an image's way through the stages says how long it takes, and not how many a worker
could do side by side. So each stage says what its threads could do in full batches, and the
narrowest counts, with what the prefetch and the processor allow. While a worker has as much in
flight as it may, what it really does corrects the estimate.
"""

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median_low

FETCH, MODEL, STORE, FINISH = "fetch", "model", "store", "finish"
FETCH_THREADS = 8  # they wait for S3 most of the time
ANSWER_THREADS, ANSWER_BATCH = 2, 10  # as many as a call to SQS takes
MOST_STORE_THREADS = 32
_MEMORY_CALLS = 100  # of a stage, that are remembered
_OUTLIER = 1.5  # times the median
_PRIOR_VARIANCE = 0.25  # of the sizes of batches that outweighs what is supposed of them
_FULL_SHARE = 0.75  # of the prefetch in flight: the worker has what it can work on
_FULL_SECONDS = 2.0  # for so long, before its throughput is believed
_IN_FLIGHT_SECONDS = 2.0  # of work, that a worker may hold: another may have nothing to do
_CPU_SPANS = 8
_FEW_IMAGES = 8  # have no mean yet
_MEMORY_SPANS = 4.0


def store_threads(prefetch: int) -> int:
    """Half of what is in flight may be on its way to S3: 8 threads store 80 results a second."""
    return min(MOST_STORE_THREADS, (prefetch + 1) // 2)


@dataclass(slots=True)
class StageMeter:
    """A stage of `width` threads that take up to `batch` items a call. `shared` tells that a call
    takes as long for one as for all, which is supposed until batches of several sizes were seen.
    """

    width: int
    batch: int
    shared: bool = False
    _calls: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=_MEMORY_CALLS))

    def note(self, items: int, seconds: float) -> None:
        """Remember a call; on any thread."""
        self._calls.append((items, seconds))

    def seconds(self, items: int) -> float | None:
        """How long a call with so many items takes, by a line through those seen; None before."""
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
        """How long an item is here beside its share of the threads' time: it waits for a call, and
        where all share calls, for the one before.
        """
        alone, rate = self.seconds(1) or 0.0, self.per_second()
        before = alone / (self.width + 1) if self.shared else 0.0
        return max(0.0, alone - 1 / rate) + before if rate else 0.0

    def per_second(self) -> float | None:
        """How many items all threads could do in full batches."""
        seconds = self.seconds(self.batch)
        return self.width * self.batch / seconds if seconds else None


def _usual(calls: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """Leave out the calls that took much longer than most of their size: an outage, or others on
    the same processor, are no work.
    """
    by_size: dict[int, list[float]] = {}
    for items, seconds in calls:
        by_size.setdefault(items, []).append(seconds)
    limits = {items: _OUTLIER * median_low(spent) for items, spent in by_size.items()}
    return [call for call in calls if call[1] <= limits[call[0]]]


def throughput(shares: Sequence[float], delay_seconds: float, in_flight: int) -> float:
    """Give items a second of a ring in which so many are under way: each stage takes its share of
    an item's time with one after the other, and all else takes the delay. Mean value analysis.
    """
    waiting, rate = [0.0] * len(shares), 0.0
    for items in range(1, in_flight + 1):
        spent = [share * (1 + before) for share, before in zip(shares, waiting, strict=True)]
        rate = items / (delay_seconds + sum(spent))
        waiting = [rate * seconds for seconds in spent]
    return rate


@dataclass(slots=True)
class Capacity:
    """`cpu_seconds` gives the processor time used so far, of `cores`."""

    prefetch: int = 1
    cores: int = 1
    cpu_seconds: Callable[[], float] | None = None
    _enough: int = 1
    _meters: Mapping[str, StageMeter] = field(default_factory=dict)
    _correction: float = 1.0
    _spans: float = 0.0
    _full_since: tuple[float, int] | None = None
    _cpu_each: deque[float] = field(default_factory=lambda: deque(maxlen=_CPU_SPANS))
    _last: tuple[float, int] | None = None  # when, images
    _spent: tuple[float, int] | None = None  # processor seconds, images

    def measure(self, prefetch: int, batch: int) -> Mapping[str, StageMeter]:
        """Give the meters of a worker's stages, which notes are to be taken of from here on."""
        self.prefetch, self._enough = prefetch, min(prefetch, batch)
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

    def enough_in_flight(self) -> int:
        """How many keep it busy: a batch until more is known, with a slow model fewer than the
        prefetch.
        """
        return self._enough

    def look(self, now: float, in_flight: int, handled: int) -> None:
        """See now and then whether it has all in flight that it may, and what it then does."""
        model = self._meters.get(MODEL)
        if model and model.per_second() and (rate := self.per_second()):  # not of fetches alone
            needed = math.ceil(rate * (_IN_FLIGHT_SECONDS + self._delay_seconds()))
            self._enough = min(self.prefetch, needed)
        if in_flight < _FULL_SHARE * self._enough:
            self._full_since = None
        elif self._full_since is None:
            self._full_since = now, handled
        elif now - self._full_since[0] >= _FULL_SECONDS:
            since, before = self._full_since
            self._correct((handled - before) / (now - since))
            self._full_since = now, handled

    def told(self, now: float, handled: int) -> tuple[float | None, float | None]:
        """Give images a second, and the share of the time since the last call that it was busy."""
        at, before = self._last or (now, handled)
        self._last, images = (now, handled), handled - before
        self._note_cpu(handled)
        capacity = self.per_second()
        if capacity is None or now <= at:
            return capacity, None
        return capacity, min(1.0, images / (now - at) / capacity)

    def _note_cpu(self, handled: int) -> None:
        """Learn the processor time of an image, of several at a time: the start's is of none."""
        if self.cpu_seconds is None:
            return
        spent = self.cpu_seconds()
        before, images = self._spent or (spent, handled)
        if not handled:  # it starts, or warms up
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
        if self._cpu_each:  # the least: what else it does, as to start children, is no image's
            shares.append(min(self._cpu_each) / self.cores)
        return throughput(shares, self._delay_seconds(), self.prefetch)

    def _delay_seconds(self) -> float:
        delay = sum(meter.delay_seconds() for meter in self._meters.values())
        store = self._meters.get(STORE)
        if store is not None:  # a place that is free waits for a receive, a call to AWS like this
            delay += store.seconds(1) or 0.0
        return delay

    def _correct(self, seen: float) -> None:
        estimate = self._estimate()
        if estimate and seen > 0:
            self._spans = min(self._spans + 1, _MEMORY_SPANS)
            self._correction += (seen / estimate - self._correction) / self._spans
