"""`visionfleet status` as a real process."""

import json
import signal
import time
from pathlib import Path

import pytest

from testkit.aws.embedded import Cloud, emptied
from testkit.processes.cli import COMMAND, at, config_file, visionfleet
from testkit.processes.clocks import set_clock
from testkit.processes.daemons import started

OUTPUT, STATUS = "visionfleet-output", "fleet/status.json"
aws = pytest.fixture(emptied, scope="module")


def test_status_before_the_scaler_wrote_one(aws: Cloud, tmp_path: Path) -> None:
    aws.s3.delete_object(Bucket="visionfleet-output", Key="fleet/status.json")
    done = visionfleet("status", "--config", config_file(tmp_path), env=at(aws))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("Queue: ")
    assert lines[1].strip() == "No scaler has reported yet: is visionfleet-scaler running?"


def test_status_shows_queue_and_workers(aws: Cloud, tmp_path: Path) -> None:
    put_fleet(aws)
    aws.send("visionfleet-requests-dead", "dead")
    config = config_file(tmp_path)
    done = visionfleet("status", "--config", config, env=at(aws))
    assert done.returncode == 0, done.stderr
    assert "Queue: 0 waiting, 0 in flight, 1 dead letters" in done.stdout
    assert "Workers: 1 busy, 1 idle (minimum 0, maximum 4)" in done.stdout
    assert ": launch 1: 5 waiting" in done.stdout
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith("w-")]
    assert [(row[0], row[1]) for row in rows] == [("w-1", "busy"), ("w-2", "idle")]
    as_json = visionfleet("status", "--json", "--config", config, env=at(aws))
    document = json.loads(as_json.stdout)
    assert document["queue"] == {"visible": 0, "in_flight": 0, "dead_letters": 1}
    workers = document["workers"]
    assert isinstance(workers, list)
    assert [worker["worker"] for worker in workers] == ["w-1", "w-2", "w-3"]


def test_status_of_another_deployment_is_an_alarm(aws: Cloud, tmp_path: Path) -> None:
    put_fleet(aws)
    fleet = json.loads(aws.s3.get_object(Bucket=OUTPUT, Key=STATUS)["Body"].read())
    for deployment, alarms in (("trial", 1), ("visionfleet", 0), ("", 0)):
        body = json.dumps({**fleet, "deployment": deployment}).encode()
        aws.s3.put_object(Bucket=OUTPUT, Key=STATUS, Body=body)
        done = visionfleet("status", "--config", config_file(tmp_path), env=at(aws))
        assert done.stdout.count("the output bucket is that of the deployment trial") == alarms


@pytest.mark.parametrize("off", [-3600.0, 3600.0])
def test_status_tells_ages_by_the_time_of_aws(aws: Cloud, tmp_path: Path, off: float) -> None:
    put_fleet(aws, time.time() - 1200)
    own = set_clock(tmp_path, "operator", off)
    done = visionfleet("status", "--config", config_file(tmp_path), env={**at(aws), **own})
    assert "Last decision, 20 min ago: launch 1: 5 waiting" in done.stdout
    rows = [line for line in done.stdout.splitlines() if line.startswith("w-1")]
    assert [row.count("20 min") for row in rows] == [2], "its state, and its silence"


def put_fleet(aws: Cloud, told_at: float = 1e9) -> None:
    """Put what a scaler and three workers write, and a report that cannot be read."""
    queue = {"v": 1, "at": told_at, "visible": 5, "in_flight": 2, "minimum": 0, "maximum": 4}
    fleet = {"states": {"idle": 1, "busy": 1}, "decision": "launch 1: 5 waiting"}
    put(aws, "fleet/status.json", {**queue, **fleet, "decided_at": told_at})
    for name, state in (("w-1", "busy"), ("w-2", "idle"), ("w-3", "stopped")):
        times = dict.fromkeys(("since", "reported_at", "started_at"), told_at)
        report = {"v": 1, "worker": name, "state": state, "version": "0", "host": "h"}
        put(aws, f"fleet/workers/{name}.json", report | times)
    put(aws, "fleet/workers/odd.json", {"v": 2})


def put(aws: Cloud, key: str, document: object) -> None:
    body = json.dumps(document).encode()
    aws.s3.put_object(Bucket="visionfleet-output", Key=key, Body=body)


def test_status_survives_rubbish_in_s3(aws: Cloud, tmp_path: Path) -> None:
    for key in ("fleet/status.json", "fleet/workers/w.json"):
        aws.s3.put_object(Bucket="visionfleet-output", Key=key, Body=b"\xff\xfe rubbish")
    done = visionfleet("status", "--config", config_file(tmp_path), env=at(aws))
    for key in ("fleet/status.json", "fleet/workers/w.json"):
        aws.s3.delete_object(Bucket="visionfleet-output", Key=key)
    assert done.returncode == 0
    assert "No scaler has reported yet" in done.stdout
    assert "Traceback" not in done.stderr


def test_status_without_queues_names_the_provision_command(aws: Cloud, tmp_path: Path) -> None:
    path = config_file(tmp_path, "name: nobody\n")
    done = visionfleet("status", "--config", path, env=at(aws))
    assert done.returncode == 1
    assert "`visionfleet provision` makes it" in done.stderr


def test_status_watch_ends_on_ctrl_c_with_130(aws: Cloud, tmp_path: Path) -> None:
    argv = [*COMMAND, "status", "--watch", "--json", "--interval", "0.2"]
    argv += ["--config", config_file(tmp_path)]
    with started(argv, tmp_path / "log", at(aws)) as process:
        process.wait_for_output('"queue"', 30)
        process.signal(signal.SIGINT)
        process.assert_exit(130)
        assert "Traceback" not in process.output()
