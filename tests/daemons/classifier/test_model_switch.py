"""A rolling model switch as docs/models.md describes it: no job is lost."""

import time
from pathlib import Path
from typing import Any

import pytest

from testkit.aws.embedded import BUCKETS, Cloud, emptied
from testkit.images.models import table_model
from testkit.images.pictures import encoded, numbered
from testkit.processes.daemons import started_module
from testkit.processes.waiting import wait_until

pytestmark = pytest.mark.needs_torch

PICTURES = 8
JOBS = 16
SETTINGS = """
queue: {visibility_timeout_seconds: 8, wait_seconds: 2}
classifier: {report_seconds: 1, batch_size: 2, prefetch: 4}
"""


@pytest.fixture
def aws(running_aws: Cloud) -> Cloud:
    return emptied(running_aws, {"VisibilityTimeout": "8"})


def model(folder: Path, name: str, rounds: int) -> dict[str, str]:
    """A look-up model whose labels begin with its name."""
    (folder / name).mkdir()
    pictures = [numbered(i) for i in range(PICTURES)]
    labels = [f"{name}-{i}" for i in range(PICTURES)]
    return table_model(folder / name, pictures, labels, rounds)


def in_s3(aws: Cloud, settings: dict[str, str]) -> dict[str, str]:
    """Upload a model and its labels, and name them there."""
    moved = dict(settings)
    for setting in ("VISIONFLEET_MODEL__PATH", "VISIONFLEET_MODEL__LABELS"):
        path = Path(settings[setting])
        aws.s3.put_object(Bucket=BUCKETS[0], Key=f"models/{path.name}", Body=path.read_bytes())
        moved[setting] = f"s3://{BUCKETS[0]}/models/{path.name}"
    return moved


def report(aws: Cloud) -> str:
    return (aws.object("fleet/workers/old.json") or b"").decode()


def answers(aws: Cloud) -> dict[str, dict[str, Any]]:
    found = {key: aws.result(key.removeprefix("results/")[:-5]) for key in aws.keys("results/job")}
    return {key: result for key, result in found.items() if result is not None}


def test_model_switch_loses_no_job_and_results_name_the_model(aws: Cloud, tmp_path: Path) -> None:
    config = tmp_path / "visionfleet.yaml"
    config.write_text(SETTINGS)
    old = model(tmp_path, "old", rounds=40)
    new = in_s3(aws, model(tmp_path, "new", rounds=0))

    def worker(name: str, settings: dict[str, str]) -> Any:
        return started_module(
            "visionfleetd.classifier.main",
            *("--config", str(config), "--worker", name),
            log=tmp_path / f"{name}.log",
            env={**aws.environment, **settings, "CACHE_DIRECTORY": str(tmp_path)},
            stop_seconds=20,
        )

    for number in range(JOBS):
        image = encoded(numbered(number % PICTURES))
        aws.send_request(f"job{number}", image, reply_to=None, sent_at=time.time())
    with worker("old", old) as process:
        wait_until(lambda: len(answers(aws)) >= 2, 40, "the old model is at work")
        aws.s3.put_object(
            Bucket=BUCKETS[1], Key="fleet/drain/old", Body=str(time.time() + 1).encode()
        )
        with worker("new", new):
            wait_until(lambda: len(answers(aws)) >= JOBS, 60, "every job is answered")
            wait_until(lambda: aws.counts() == (0, 0), 30, "the queue is empty")
            wait_until(lambda: "drained" in report(aws), 30, process.tail)

    found = answers(aws)
    assert len(found) == JOBS
    told = {(result["worker"], result["model"]["fingerprint"]) for result in found.values()}
    assert len(told) == 2, told
    assert dict(told).keys() == {"old", "new"}, "the change came in the middle"
    for key, result in found.items():
        number = int(key.removeprefix("results/job")[:-5]) % PICTURES
        assert result["status"] == "succeeded"
        assert result["label"] == f"{result['worker']}-{number}"
