"""Where `visionfleet up` uses an AWS that is there in place of an embedded one."""

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from testkit.aws.embedded import Cloud
from testkit.aws.ministack import bare_ministack
from testkit.processes.ports import free_port
from visionfleet.errors import GiveUp
from visionfleet.local.aws_there import embeds_aws

HERE, ELSEWHERE = f"http://127.0.0.1:{free_port()}", "http://aws.test:4566"


@pytest.mark.parametrize(
    ("setting", "environment", "embeds"),
    [
        (HERE, {}, True),
        (ELSEWHERE, {}, False),
        (HERE, {"AWS_ENDPOINT_URL": ELSEWHERE}, False),
        (HERE, {"AWS_ENDPOINT_URL": HERE}, True),
        (HERE, {"AWS_ENDPOINT_URL": ELSEWHERE, "VISIONFLEET_AWS__ENDPOINT_URL": HERE}, True),
        (HERE, {"AWS_ENDPOINT_URL_SQS": ELSEWHERE}, False),
        (None, {"AWS_ENDPOINT_URL_S3": HERE, "AWS_ENDPOINT_URL_SQS": HERE}, False),
        (HERE, {"AWS_ENDPOINT_URL_EC2": ELSEWHERE}, True),
    ],
    ids=range(8),  # a port that is free is another one in each process
)
def test_endpoint_that_is_given_is_used(
    setting: str | None, environment: dict[str, str], embeds: bool
) -> None:
    assert embeds_aws(setting, environment) is embeds


def test_no_endpoint_at_all_is_refused() -> None:
    with pytest.raises(GiveUp, match=r"aws\.endpoint_url must be on this machine"):
        embeds_aws(None, {})


def test_emulator_that_answers_on_this_machine_is_used(tmp_path: Path) -> None:
    with bare_ministack(tmp_path, False) as made:
        assert not embeds_aws(made.endpoint_url, {})


def test_aws_embedded_by_another_is_not_shared(aws: Cloud) -> None:
    assert embeds_aws(aws.endpoint_url, {})


@pytest.fixture
def something_else() -> Iterator[str]:
    handler = http.server.SimpleHTTPRequestHandler
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_something_else_at_the_port_is_no_aws(something_else: str) -> None:
    assert embeds_aws(something_else, {})
