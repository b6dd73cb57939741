"""Images that end, stop or stall the process that meets them: they harm no other image."""

import os
import signal
import time
from pathlib import Path

import pytest
from PIL import Image

from testkit import ROOT
from testkit.aws.embedded import Cloud, emptied
from testkit.classifier.daemon import REPLIES, Start, results, send
from testkit.images.pictures import encoded, numbered
from testkit.processes.daemons import PYTHONPATH
from testkit.processes.waiting import wait_until

pytestmark = pytest.mark.needs_torch

COLOUR = (9, 99, 199)  # in the model it ends the process
VISIBILITY = "120"  # longer than a worker takes to boot on a busy machine
KINDS = {66: "crashed", 67: "crashed", 68: "crashed", 69: "cannot_be_decoded", 70: "crashed"}
POISONED = {
    "PYTHONPATH": os.pathsep.join((str(ROOT / "testkit/images/poison"), PYTHONPATH)),
    "VISIONFLEET_QUEUE__WAIT_SECONDS": "0",
    "VISIONFLEET_QUEUE__VISIBILITY_TIMEOUT_SECONDS": VISIBILITY,
}


@pytest.fixture
def aws(running_aws: Cloud) -> Cloud:
    made = emptied(running_aws, {"VisibilityTimeout": VISIBILITY})
    made.sqs.create_queue(QueueName=REPLIES)
    return made


def test_poison_for_a_decoder_harms_no_neighbour(aws: Cloud, start: Start) -> None:
    """It kills, stops or stalls the process, takes its memory, or ends it."""
    poison = {f"job-{side}": side for side in KINDS}
    for job, side in poison.items():
        aws.send_request(job, encoded(numbered(1, side=side)), sent_at=time.time())
    jobs = send(aws, range(10))
    with start("w0", **POISONED) as process:
        process.wait_for_output("ready", 60)
        good = lambda: all(aws.result(job) for job in jobs)  # noqa: E731
        wait_until(good, 40, process.tail)
        found = results(aws, [*jobs, *poison], seconds=150)
        assert min(found["job-68"]["finished_at"] - found[job]["finished_at"] for job in jobs) > 0
        wait_until(lambda: aws.counts() == (0, 0), 20, "the queue is empty")
        assert process.running
    assert [found[job]["label"] for job in jobs] == [f"label-{i}" for i in range(10)]
    assert {side: found[job]["code"] for job, side in poison.items()} == KINDS
    assert {result["attempts"] for result in found.values()} == {1}


def test_stop_does_not_wait_for_an_image_that_hangs(aws: Cloud, start: Start) -> None:
    aws.send_request("job-hangs", encoded(numbered(1, side=68)), sent_at=time.time())
    with start("w0", **POISONED, VISIONFLEET_CLASSIFIER__STOP_SECONDS="2") as process:
        process.wait_for_output("job received", 60)
        status, seconds = process.stop(20)
    assert (status, seconds < 15) == (0, True), process.tail()
    assert aws.counts() == (1, 0), "another worker has it at once"


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
def test_poison_for_the_model_costs_no_neighbour_a_delivery(
    aws: Cloud, start: Start, tmp_path: Path, runtime: str
) -> None:
    """The next life takes over what the dead one held, and meets the suspects alone.

    All fit into the first receive: what SQS gives to a process just as it dies is nobody's, and
    costs a delivery.
    """
    poison = [f"job-poison-{n}" for n in range(2)]
    for job in poison:
        aws.send_request(job, encoded(Image.new("RGB", (64, 64), COLOUR)), sent_at=time.time())
    jobs = send(aws, range(6))
    lives, on_runtime = 0, {**POISONED, "VISIONFLEET_MODEL__RUNTIME": runtime}
    while not all(aws.result(job) for job in [*jobs, *poison]):
        lives += 1
        with start(f"life{lives}", **on_runtime) as process:
            wait_until(lambda: not process.running or aws.counts() == (0, 0), 120, process.tail)
            assert process.running or process.wait() == -signal.SIGSEGV, process.tail()
    assert lives in {2, 3}, "each poison ends one life at the most"
    assert "taken over" in process.output()
    assert f"precision chosen runtime={runtime}" in process.output()
    found = results(aws, [*jobs, *poison], seconds=1)
    assert [found[job]["label"] for job in jobs] == [f"label-{i}" for i in range(6)]
    assert [found[job]["code"] for job in poison] == ["crashed"] * 2
    assert {result["attempts"] for result in found.values()} == {1}
    assert not list((tmp_path / "run").iterdir()), "a clean end leaves no notes"
