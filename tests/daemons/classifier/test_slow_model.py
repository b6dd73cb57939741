"""A slow model: what its worker cannot begin soon is left to other workers."""

from pathlib import Path

import pytest

from testkit.aws.embedded import Cloud
from testkit.classifier.daemon import PICTURES, classifier_daemon, send
from testkit.images.models import table_model
from testkit.images.pictures import numbered
from testkit.processes.waiting import wait_until

pytestmark = pytest.mark.needs_torch

SETTINGS = """
queue: {visibility_timeout_seconds: 60, wait_seconds: 1}
model: {threads: 1}
"""


def test_slow_worker_leaves_most_images_in_the_queue(aws: Cloud, tmp_path: Path) -> None:
    labels = [f"label-{number}" for number in range(PICTURES)]
    pictures = [numbered(number) for number in range(PICTURES)]
    model = table_model(tmp_path, pictures, labels, busy_rounds=250)
    with classifier_daemon(aws, tmp_path, "w_0", SETTINGS, **model) as worker:
        worker.wait_for_output("ready", 60)
        send(aws, range(40))
        wait_until(lambda: len(aws.keys("results/job")) >= 6, 60, worker.tail)
        visible, in_flight = aws.counts()
        assert in_flight <= 24, f"{visible} wait, and the prefetch is 32"
        worker.kill()
