"""The cost of days of usage by a price table. No I/O here."""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta

from visionfleet.contract.usage import DayUsage, FleetCost, PeriodCost, WorkerTime
from visionfleet.cost.prices import Calls, PriceTable

SECONDS_PER_HOUR = 3600.0
HOURS_PER_MONTH = 730.0
MONTH_DAYS = 30
PERIODS = ("today", "yesterday", f"last {MONTH_DAYS} days")

# Calls of all daemons, measured with default settings. A single image: upload, request, fetch,
# result, reply. Under load SQS calls are batched, to about a sixth of these.
OF_AN_IMAGE = Calls(s3_write=2, s3_read=1, sqs=6)
# One hour of a worker: its reports and their reading, polls for drain requests, and long polls.
OF_A_WORKER_HOUR = Calls(s3_write=120, s3_read=1560, sqs=180)
# One hour of an idle scaler and web daemon; and the listing of reports, once per tick while there
# are workers.
OF_A_QUIET_HOUR = Calls(s3_write=156, sqs=1104)
OF_AN_AWAKE_HOUR = Calls(s3_write=900)


def fleet_cost(usage: Sequence[DayUsage], prices: PriceTable, today: date) -> FleetCost:
    by_day = {one.day: one for one in usage}
    day = today.isoformat()
    yesterday = (today - timedelta(days=1)).isoformat()
    first = (today - timedelta(days=MONTH_DAYS - 1)).isoformat()
    found = (
        [by_day[day]] if day in by_day else [],
        [by_day[yesterday]] if yesterday in by_day else [],
        [one for one in usage if first <= one.day <= day],
    )
    costs = (period_cost(*one, prices) for one in zip(PERIODS, found, strict=True))
    return FleetCost(prices=prices.words, periods=tuple(costs))


def period_cost(period: str, days: Sequence[DayUsage], prices: PriceTable) -> PeriodCost:
    images = sum(day.images for day in days)
    workers = [time for day in days for time in day.workers]
    seconds = sum(time.seconds for time in workers)
    calls = estimated_calls(days)
    of_workers, of_calls = worker_dollars(workers, prices), prices.of_calls(calls)
    known = [part for part in (of_workers, of_calls) if part is not None]
    dollars, missing = sum(known) if known else None, tuple(sorted(unpriced(workers, prices)))
    whole = dollars if images and not missing else None
    return PeriodCost(
        period=period,
        images=images,
        worker_seconds=round(seconds, 1),
        calls=round(calls.count),
        worker_dollars=_rounded(of_workers),
        call_dollars=_rounded(of_calls),
        dollars=_rounded(dollars),
        dollars_per_thousand_images=None if whole is None else _rounded(whole * 1000 / images),
        unpriced=missing,
    )


def estimated_calls(days: Iterable[DayUsage]) -> Calls:
    """Estimate the AWS calls of this usage: they are not counted across daemons."""
    total = Calls()
    for day in days:
        seconds = sum(time.seconds for time in day.workers)
        total += OF_AN_IMAGE * day.images
        total += OF_A_WORKER_HOUR * (seconds / SECONDS_PER_HOUR)
        total += OF_A_QUIET_HOUR * (day.scaler_seconds / SECONDS_PER_HOUR)
        total += OF_AN_AWAKE_HOUR * (day.awake_seconds / SECONDS_PER_HOUR)
    return total


def worker_dollars(workers: Iterable[WorkerTime], prices: PriceTable) -> float | None:
    """The sum over workers with a price; None if there are workers and none has one."""
    times = [time for time in workers if time.seconds]
    known = [
        time.seconds / SECONDS_PER_HOUR * hourly
        for time in times
        if (hourly := prices.hourly(time.instance_type, time.market)) is not None
    ]
    return None if times and not known else sum(known)


def unpriced(workers: Iterable[WorkerTime], prices: PriceTable) -> set[str]:
    """What has no price: kinds of workers, and calls."""
    kinds = {
        kind_words(time.instance_type, time.market)
        for time in workers
        if time.seconds and prices.hourly(time.instance_type, time.market) is None
    }
    return kinds if prices.calls else {*kinds, "calls to S3 and SQS"}


def kind_words(instance_type: str | None, market: str | None) -> str:
    if instance_type is None:
        return "workers that are not on EC2"
    return f"{instance_type}, {market or 'market not known'}"


def _rounded(dollars: float | None) -> float | None:
    return None if dollars is None else round(dollars, 6)
