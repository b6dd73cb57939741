"""What a worker can do: images a second, from what its stages were busy for lately. No I/O here.

At a low rate an image's way through the stages says how long it takes, and not how many a worker
could do side by side. So each stage says what its threads could do in full batches, and the
narrowest counts, with what the prefetch and the processor allow. While a worker has as much in hand
as it may, what it really does corrects the estimate.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

STORE = "store"
_MEMORY_CALLS = 100  # of a stage, that are remembered
_OUTLIER = 5.0  # times the mean: an outage is no work
_PRIOR_VARIANCE = 0.25  # of the sizes of batches that outweighs what is supposed of them
_FULL_SHARE = 0.75  # of the prefetch in hand: the worker has what it can work on
_FULL_SECONDS = 2.0  # for so long, before its throughput is believed
_CPU_SPANS = 8
_FEW_IMAGES = 8  # have no mean yet
_MEMORY_SPANS = 4.0


@dataclass(slots=True)
class StageMeter:
    """A stage of `width` threads that take up to `batch` items a call. `shared` tells that a call
    takes as long for one as for all, which is supposed until batches of several sizes were seen.
    """

    width: int
    batch: int
    shared: bool = False
    _calls: float = 0.0
    _items: float = 0.0
    _seconds: float = 0.0
    _squares: float = 0.0
    _products: float = 0.0

    def note(self, items: int, seconds: float) -> None:
        """Remember a call, and earlier ones a little less."""
        if self._calls:
            seconds = min(seconds, _OUTLIER * items * self._seconds / self._calls)
        kept = 1 - 1 / _MEMORY_CALLS
        self._calls = kept * self._calls + 1
        self._items = kept * self._items + items
        self._seconds = kept * self._seconds + seconds
        self._squares = kept * self._squares + items * items
        self._products = kept * self._products + items * seconds

    def seconds(self, items: int) -> float | None:
        """How long a call with so many items takes; None before any call."""
        if not self._calls:
            return None
        size, seconds = self._items / self._calls, self._seconds / self._calls
        variance = self._squares / self._calls - size * size
        product = self._products / self._calls - size * seconds
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
    _meters: dict[str, StageMeter] = field(default_factory=dict)
    _correction: float = 1.0
    _spans: float = 0.0
    _full_since: tuple[float, int] | None = None
    _cpu_each: deque[float] = field(default_factory=lambda: deque(maxlen=_CPU_SPANS))
    _last: tuple[float, int] | None = None  # when, images
    _spent: tuple[float, int] | None = None  # processor seconds, images

    def meter(self, stage: str, width: int, batch: int, shared: bool = False) -> StageMeter:
        """Add a stage."""
        return self._meters.setdefault(stage, StageMeter(width, batch, shared))

    def look(self, now: float, in_flight: int, handled: int) -> None:
        """See now and then whether it has all in hand that it may, and what it then does."""
        if in_flight < _FULL_SHARE * self.prefetch:
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
        delay = sum(meter.delay_seconds() for meter in known)
        store = self._meters.get(STORE)
        if store is not None:  # a place that is free waits for a receive, a call to AWS like this
            delay += store.seconds(1) or 0.0
        return throughput(shares, delay, self.prefetch)

    def _correct(self, seen: float) -> None:
        estimate = self._estimate()
        if estimate and seen > 0:
            self._spans = min(self._spans + 1, _MEMORY_SPANS)
            self._correction += (seen / estimate - self._correction) / self._spans
