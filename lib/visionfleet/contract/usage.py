"""What the fleet used day by day, and what that cost: parts of its status. No I/O here."""

from visionfleet.contract.values import Value


class WorkerTime(Value):
    """Seconds that are paid for workers of one kind; None: which kind is not known, as of the
    processes of one machine.
    """

    instance_type: str | None = None
    market: str | None = None
    seconds: float


class DayUsage(Value):
    """One day in UTC (YYYY-MM-DD): the images that workers finished, the time of workers, for how
    long a scaler acted, and for how long of that there were workers.
    """

    day: str
    images: int = 0
    scaler_seconds: float = 0.0
    awake_seconds: float = 0.0
    workers: tuple[WorkerTime, ...] = ()


class PeriodCost(Value):
    """What a time cost. A sum of dollars is that of what has a price, None if nothing has one;
    `unpriced` names what has none, and then it is not known what an image comes to.
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
    """Costs by a table of prices; `prices` says of where and when they are."""

    prices: str
    periods: tuple[PeriodCost, ...]
