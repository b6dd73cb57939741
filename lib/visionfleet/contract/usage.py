"""Usage and cost by day: parts of the fleet status. No I/O here."""

from visionfleet.contract.values import Value


class WorkerTime(Value):
    """Billed seconds of one kind of workers; None: unknown, as on one machine."""

    instance_type: str | None = None
    market: str | None = None
    seconds: float


class DayUsage(Value):
    """One day in UTC (YYYY-MM-DD): images finished, worker time, how long a scaler acted, and how
    long of that there were workers.
    """

    day: str
    images: int = 0
    scaler_seconds: float = 0.0
    awake_seconds: float = 0.0
    workers: tuple[WorkerTime, ...] = ()


class PeriodCost(Value):
    """The cost of a period. Sums cover what has a price, None if nothing has one.

    `unpriced` lists what has none; then the cost per image is unknown.
    """

    period: str
    images: int
    worker_seconds: float
    calls: int
    worker_dollars: float | None
    call_dollars: float | None
    dollars: float | None
    dollars_per_thousand_images: float | None
    unpriced: tuple[str, ...] = ()


class FleetCost(Value):
    """Costs by a price table; `prices` names its place and date."""

    prices: str
    periods: tuple[PeriodCost, ...]
