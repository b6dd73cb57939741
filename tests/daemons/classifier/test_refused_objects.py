"""A worker to which S3 refuses one image, or for a while everything."""

from collections.abc import Iterator

import pytest

from testkit.aws.breaking_proxy import BreakingProxy, breaking_proxy
from testkit.aws.embedded import Cloud
from testkit.classifier.daemon import Start, results, send
from testkit.processes.waiting import wait_until

pytestmark = pytest.mark.needs_torch


@pytest.fixture
def proxy(aws: Cloud) -> Iterator[BreakingProxy]:
    with breaking_proxy(aws.endpoint_url) as made:
        yield made


def test_one_refused_image_harms_no_other(aws: Cloud, start: Start, proxy: BreakingProxy) -> None:
    proxy.picks = lambda call: call.command == "GET" and "/images/job3" in call.path
    proxy.phase = "denied"
    jobs = send(aws, range(14))
    with start("w0", VISIONFLEET_AWS__ENDPOINT_URL=proxy.url) as process:
        found = results(aws, jobs, 90)
        wait_until(lambda: aws.counts() == (0, 0), 30, "the queue is empty")
        assert process.running
    assert found.pop("job3")["code"] == "image_refused"
    assert {one["attempts"] for one in found.values()} == {1}
    assert {one["status"] for one in found.values()} == {"succeeded"}


@pytest.mark.parametrize("path", ["visionfleet-input", ""])
def test_refusal_of_all_for_a_while_is_held(
    aws: Cloud, start: Start, proxy: BreakingProxy, path: str
) -> None:
    """Reads alone, or S3 and SQS: no delivery is used up, and no job fails."""
    proxy.picks = lambda call: path in call.path
    with start("w0", VISIONFLEET_AWS__ENDPOINT_URL=proxy.url) as process:
        process.wait_for_output("ready", 60)
        jobs = send(aws, range(10))
        proxy.phase = "denied"
        wait_until(lambda: proxy.broken > 8, 30, process.tail)
        proxy.phase = None
        found = results(aws, jobs, 90)
        assert process.running
    assert {(one["attempts"], one["status"]) for one in found.values()} == {(1, "succeeded")}
