"""What the always-on daemons cost while nothing happens."""

import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from testkit.aws.counting_proxy import counting_proxy
from testkit.aws.embedded import cloud
from testkit.fleet.supervised import supervised
from testkit.processes.daemons import started
from testkit.processes.ports import free_port
from testkit.processes.stack import BIN, Stack, stack
from testkit.processes.waiting import wait_until

# A whole number of each period: looks (4 s), long polls (20 s), leases (40 s), statuses (60 s).
WATCHED_SECONDS = 120
HOURS_PER_MONTH = 730
# US East, in dollars per call, from the price lists of SQS (beyond the free million) and S3.
PRICES = {
    "SQS": 0.40e-6,
    "S3 GET": 0.40e-6,
    "S3 HEAD": 0.40e-6,
    "S3 PUT": 5e-6,
    "S3 LIST": 5e-6,
}
# What comes less often than we watch: every ten minutes a list of the queues, one of the objects
# and the tags of the web process's queue, and every five minutes that queue's heartbeat.
SELDOM_HOURLY = {"S3 LIST": 6, "SQS ListQueues": 6, "SQS ListQueueTags": 6, "SQS TagQueue": 12}


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def price(operation: str) -> float:
    return next(cost for name, cost in PRICES.items() if operation.startswith(name))


@contextmanager
def daemons_with_default_settings(folder: Path) -> Iterator[Counter[str]]:
    """Web and scaler as on AWS, on an AWS that counts; yields the running counts."""
    config = folder / "visionfleet.yaml"
    with (
        cloud(folder) as aws,
        counting_proxy(aws.endpoint_url) as proxy,
        supervised(aws.environment) as workers,
    ):
        fleet = "scaler: {fleet: supervisor}"
        config.write_text(f"{fleet}\nsupervisor: {{socket: {workers.socket}}}\n")
        env = {**aws.environment, "VISIONFLEET_WEB__PORT": str(free_port())}
        env |= {"VISIONFLEET_AWS__ENDPOINT_URL": proxy.url}
        options = ["--config", str(config)]
        web = [str(BIN / "visionfleet-web"), *options]
        scaler = [str(BIN / "visionfleet-scaler"), *options]
        with (
            started(web, folder / "web.log", env) as first,
            started(scaler, folder / "scaler.log", env) as second,
        ):
            for process in (first, second):
                process.wait_for_output("ready", 30)
            # The history of the start is over with the first looks.
            wait_until(lambda: proxy.calls["SQS GetQueueAttributes"] >= 2, 30, "two looks")
            yield proxy.calls


def per_month(calls: Counter[str], seconds: float) -> tuple[dict[str, float], float]:
    """Calls per hour by operation, and what they cost in dollars per month."""
    hourly = {operation: count * 3600 / seconds for operation, count in sorted(calls.items())}
    cost = sum(rate * price(operation) for operation, rate in hourly.items()) * HOURS_PER_MONTH
    return hourly, cost


def test_idle_minute_costs_next_to_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with daemons_with_default_settings(tmp_path) as counts, stack() as running:
        pids = watched(running)
        wait_until(lambda: running.workers() == 0, 30, "no workers")
        cpu, calls, began = sum(map(cpu_seconds, pids)), Counter(counts), time.monotonic()
        deadline = began + WATCHED_SECONDS
        wait_until(lambda: time.monotonic() > deadline, WATCHED_SECONDS + 10, interval_seconds=1)
        seconds = time.monotonic() - began
        share = (sum(map(cpu_seconds, pids)) - cpu) / seconds
        hourly, cost = per_month(Counter(counts) - calls, seconds)
        cost += sum(rate * price(name) for name, rate in SELDOM_HOURLY.items()) * HOURS_PER_MONTH
        assert running.workers() == 0
    with capsys.disabled():
        print(f"\nidle: web and scaler use {share:.2%} of one core with the local settings")
        print(f"idle with the default settings: {sum(hourly.values()):.0f} AWS calls per hour:")
        print("".join(f"  {name}: {rate:.0f}\n" for name, rate in hourly.items()), end="")
        print(f"  and by the settings, less often than we watched: {SELDOM_HOURLY}")
        print(
            f"  at list prices, with the lease, without the free tier: {cost:.2f} dollars per month"
        )
    assert share < 0.02
    assert sum(hourly.values()) < 1500
    assert cost < 1.0


def watched(running: Stack) -> list[int]:
    web, scaler = running.pids("visionfleet-web"), running.pids("visionfleet-scaler")
    assert (len(web), len(scaler)) == (1, 1)
    return web + scaler


def test_web_and_scaler_never_load_torch() -> None:
    with stack() as running:
        for pid in watched(running):
            assert "torch" not in Path(f"/proc/{pid}/maps").read_text()
