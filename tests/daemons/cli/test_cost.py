"""`visionfleet cost` as a real process, on the status that a scaler wrote."""

import json
import time
from pathlib import Path

import pytest

from testkit.aws.embedded import BUCKETS, Cloud, emptied
from testkit.processes.cli import at, config_file, visionfleet
from testkit.web.fleet_status import fleet_status

PRICES = """
date: 2026-11-29
source: nowhere
region: us-east-1
instances: {a.large: {vcpus: 2, on_demand: 0.36, spot: 0.036}}
calls: {s3_write: 5, s3_read: 0.4, sqs: 0.4}
"""

aws = pytest.fixture(emptied, scope="module")


def day(age: int, images: int, seconds: float) -> dict[str, object]:
    """A day within the last 30, also if a new one begins meanwhile."""
    name = time.strftime("%Y-%m-%d", time.gmtime(time.time() - age * 86400))
    worker = {"instance_type": "a.large", "market": "spot", "seconds": seconds}
    return {"day": name, "images": images, "scaler_seconds": 0.0, "workers": [worker]}


def put_status(aws: Cloud, *usage: dict[str, object]) -> None:
    status = fleet_status(time.time(), usage=list(usage))
    aws.s3.put_object(Bucket=BUCKETS[1], Key="fleet/status.json", Body=json.dumps(status).encode())


def test_cost_shows_days_and_thousand_images(aws: Cloud, tmp_path: Path) -> None:
    put_status(aws, day(3, 1000, 36000.0), day(1, 500, 3600.0))
    (tmp_path / "prices.yaml").write_text(PRICES)
    config = config_file(tmp_path, "scaler: {prices_file: prices.yaml}\n")
    done = visionfleet("cost", "--config", config, env=at(aws))
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80
    rows = {line[:12].strip(): line.split() for line in done.stdout.splitlines()}
    assert {"today", "yesterday"} < rows.keys()
    assert rows["last 30 days"][3:6] == ["1,500", "11.00", "0.3960"]
    assert "Prices of us-east-1, 2026-11-29" in done.stdout
    told = visionfleet("cost", "--json", "--config", config, env=at(aws))
    document = json.loads(told.stdout)
    month = document["periods"][2]
    assert month["images"] == 1500
    assert month["dollars"] == pytest.approx(month["worker_dollars"] + month["call_dollars"])
    assert month["dollars_per_thousand_images"] == pytest.approx(month["dollars"] / 1.5)
    assert [one["images"] for one in document["days"]] == [1000, 500]


def test_cost_without_a_status_or_a_good_table(aws: Cloud, tmp_path: Path) -> None:
    aws.s3.delete_object(Bucket=BUCKETS[1], Key="fleet/status.json")
    config = config_file(tmp_path)
    done = visionfleet("cost", "--config", config, env=at(aws))
    assert (done.returncode, done.stdout) == (1, "")
    assert "No scaler has told yet what the fleet uses" in done.stderr
    faulty = tmp_path / "faulty.yaml"
    faulty.write_text(PRICES.replace("0.36", "many"))
    done = visionfleet("cost", "--prices", str(faulty), "--config", config, env=at(aws))
    assert done.returncode == 1
    assert f"{faulty}: instances.a.large.on_demand: " in done.stderr
