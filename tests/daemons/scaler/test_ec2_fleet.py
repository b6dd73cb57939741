"""The scaler with the EC2 fleet as a real process; no instance boots here."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from testkit.aws.ec2_proxy import Ec2Proxy, ec2_proxy
from testkit.aws.embedded import Cloud, add_template, ec2_client
from testkit.processes.daemons import Process, started_module
from testkit.processes.waiting import wait_until

MAXIMUM = 5
SETTINGS = """
scaler:
  fleet: ec2
  maximum: 5
  interval_seconds: 0.2
  service_seconds: 5
  target_wait_seconds: 1
ec2:
  launch_template: workers
"""

Start = Callable[..., AbstractContextManager[Process]]


@pytest.fixture
def ec2(aws: Cloud) -> Any:
    made = ec2_client(aws)
    add_template(made)
    return made


@pytest.fixture
def proxy(aws: Cloud) -> Iterator[Ec2Proxy]:
    with ec2_proxy(aws.endpoint_url) as made:
        yield made


@pytest.fixture
def start(aws: Cloud, proxy: Ec2Proxy, tmp_path: Path) -> Start:
    config = tmp_path / "visionfleet.yaml"
    config.write_text(SETTINGS)

    def begin(name: str, **more: str) -> AbstractContextManager[Process]:
        return started_module(
            "visionfleetd.scaler.main",
            *("--config", str(config)),
            log=tmp_path / f"{name}.log",
            env={**aws.environment, "VISIONFLEET_AWS__ENDPOINT_URL": proxy.url, **more},
        )

    return begin


def instances(ec2: Any) -> set[str]:
    found = ec2.describe_instances()["Reservations"]
    return {instance["InstanceId"] for r in found for instance in r["Instances"]}


def send(aws: Cloud, count: int) -> None:
    for i in range(count):
        aws.send_request(f"job{i}", None)


def seen(aws: Cloud, count: int) -> bool:
    """Tell whether the scaler's status counts so many workers that boot."""
    return f'"booting":{count}'.encode() in (aws.object("fleet/status.json") or b"")


def test_burst_is_one_launch_of_the_maximum(
    aws: Cloud, ec2: Any, proxy: Ec2Proxy, start: Start
) -> None:
    send(aws, 30)
    with start("scaler") as scaler:
        wait_until(lambda: seen(aws, MAXIMUM), 40, scaler.tail)
        assert scaler.stop()[0] == 0
    assert len(instances(ec2)) == MAXIMUM
    launches = [form for form in proxy.launches if "DryRun" not in form]
    assert [form["MaxCount"] for form in launches] == [str(MAXIMUM)]


def test_status_tells_use_by_type_and_market_and_its_cost(
    aws: Cloud, ec2: Any, start: Start, tmp_path: Path
) -> None:
    """Each instance is billed for a minute from the first look at it on."""
    prices = tmp_path / "prices.yaml"
    prices.write_text(
        "{date: 2026-11-29, source: nowhere, region: us-east-1,"
        " instances: {c7i.large: {vcpus: 2, on_demand: 36}}}"
    )
    own = {"VISIONFLEET_SCALER__PRICES_FILE": str(prices)}
    send(aws, 30)

    def month() -> dict[str, Any]:
        status = json.loads(aws.object("fleet/status.json") or b"{}")
        return status["cost"]["periods"][2] if status.get("usage") else {}

    def told() -> bool:
        return (month().get("worker_dollars") or 0) >= MAXIMUM * 0.6

    with start("scaler", VISIONFLEET_EC2__INSTANCE_TYPES="[c7i.large]", **own) as scaler:
        wait_until(told, 40, scaler.tail)
        assert scaler.stop()[0] == 0
    days = json.loads(aws.object("fleet/status.json") or b"")["usage"]
    workers = [worker for day in days for worker in day["workers"]]  # two days, at midnight
    kinds = {(worker["instance_type"], worker["market"]) for worker in workers}
    assert kinds == {("c7i.large", "on-demand")}
    assert sum(worker["seconds"] for worker in workers) == pytest.approx(60 * MAXIMUM)
    assert month()["worker_dollars"] == pytest.approx(0.6 * MAXIMUM)
    assert month()["unpriced"] == ["calls to S3 and SQS"]


def test_faulty_prices_end_the_scaler_with_their_place(start: Start, tmp_path: Path) -> None:
    prices = tmp_path / "prices.yaml"
    prices.write_text("date: 2026-11-29\n")
    with start("scaler", VISIONFLEET_SCALER__PRICES_FILE=str(prices)) as scaler:
        scaler.assert_exit(78, 40)
        assert f"scaler.prices_file: {prices}: source: Field required" in scaler.output()


def test_refused_spot_is_launched_on_demand_and_told(
    aws: Cloud, ec2: Any, proxy: Ec2Proxy, start: Start
) -> None:
    proxy.spot_refusal = "InsufficientInstanceCapacity"
    send(aws, 30)
    with start("scaler", VISIONFLEET_EC2__MARKETS="[spot, on-demand]") as scaler:
        wait_until(lambda: seen(aws, MAXIMUM), 40, scaler.tail)
        assert scaler.stop()[0] == 0
    assert len(instances(ec2)) == MAXIMUM
    asked = [form for form in proxy.launches if "DryRun" not in form]
    assert ["InstanceMarketOptions.MarketType" in form for form in asked] == [True, False]
    tokens = [form["ClientToken"].rpartition("-") for form in asked]
    assert tokens[0][0] == tokens[1][0], "of one decision"
    status = json.loads(aws.object("fleet/status.json") or b"")
    assert status["markets"] == {"on-demand": MAXIMUM}
    assert "InsufficientInstanceCapacity" in status["market_reason"]


def test_two_concurrent_scalers_stay_within_the_maximum(
    aws: Cloud, ec2: Any, proxy: Ec2Proxy, start: Start
) -> None:
    with start("one") as one, start("two") as two:
        one.wait_for_output("ready", 40)
        two.wait_for_output("ready", 40)
        send(aws, 30)
        wait_until(lambda: seen(aws, MAXIMUM), 40, one.tail)
        for process in (one, two):
            assert process.stop()[0] == 0, process.tail()
    assert len(instances(ec2)) == MAXIMUM


def test_restarted_scaler_finds_its_instances(aws: Cloud, ec2: Any, start: Start) -> None:
    send(aws, 30)
    with start("first") as first:
        wait_until(lambda: len(instances(ec2)) == MAXIMUM, 40, first.tail)
        first.kill()
    before = instances(ec2)
    aws.s3.delete_object(Bucket="visionfleet-output", Key="fleet/status.json")
    aws.s3.delete_object(Bucket="visionfleet-output", Key="fleet/lease.json")
    with start("second") as second:
        wait_until(lambda: seen(aws, MAXIMUM), 40, second.tail)
        assert second.stop()[0] == 0
    assert instances(ec2) == before


def test_missing_launch_template_is_one_error_line(ec2: Any, start: Start) -> None:
    with start("scaler", VISIONFLEET_EC2__LAUNCH_TEMPLATE="painters") as scaler:
        scaler.assert_exit(1, 40)
        assert "it must exist before the scaler starts" in scaler.output()
        assert "painters" in scaler.output()
        assert "Traceback" not in scaler.output()


def test_ec2_fleet_without_a_template_is_a_configuration_fault(start: Start) -> None:
    with start("scaler", VISIONFLEET_EC2__LAUNCH_TEMPLATE="null") as scaler:
        scaler.assert_exit(78, 40)
        assert "ec2.launch_template: is required with scaler.fleet: ec2" in scaler.output()
