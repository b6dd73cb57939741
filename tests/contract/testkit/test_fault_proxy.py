"""The fault proxy itself: each fault does what its name says, and is counted."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError

from testkit.aws.embedded import BUCKETS, NAME, Cloud
from testkit.aws.fault_proxy import (
    ERROR,
    LATENCY,
    LOST_ANSWER,
    OUTAGE,
    RESET_BEFORE,
    SLOW_DOWN,
    Call,
    FaultProxy,
    Faults,
    fault_proxy,
)

RESETS = (HTTPClientError, ConnectionError)


@pytest.fixture
def calls() -> list[Call]:
    return []


@pytest.fixture
def proxy(aws: Cloud, calls: list[Call]) -> Iterator[FaultProxy]:
    with fault_proxy(aws.endpoint_url, watch=calls.append) as made:
        yield made


def client(proxy: FaultProxy, service: str, attempts: int = 1) -> Any:
    retries: Any = {"mode": "standard", "total_max_attempts": attempts}
    config = Config(retries=retries, s3={"addressing_style": "path"}, read_timeout=5)
    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
    return boto3.client(service, "us-east-1", endpoint_url=proxy.url, config=config, **keys)


def put(s3: Any) -> None:
    s3.put_object(Bucket=BUCKETS[1], Key="key", Body=b"body")


def test_fault_proxy_forwards_without_faults(
    aws: Cloud, proxy: FaultProxy, calls: list[Call]
) -> None:
    put(client(proxy, "s3"))
    assert aws.object("key") == b"body"
    client(proxy, "sqs").send_message(QueueUrl=aws.queue_url(f"{NAME}-requests"), MessageBody="x")
    assert aws.counts() == (1, 0)
    assert [call.operation for call in calls] == ["S3 PUT", "SQS SendMessage"]
    assert proxy.done.total() == 0


def test_reset_before_the_call_never_reaches_aws(aws: Cloud, proxy: FaultProxy) -> None:
    proxy.faults = {"S3": Faults(reset_before=1)}
    with pytest.raises(RESETS):
        put(client(proxy, "s3"))
    assert aws.object("key") is None
    assert proxy.done == {RESET_BEFORE: 1}


def test_lost_answer_belongs_to_a_completed_call(aws: Cloud, proxy: FaultProxy) -> None:
    proxy.faults = {"S3": Faults(lost_answer=1)}
    with pytest.raises(RESETS):
        put(client(proxy, "s3"))
    assert aws.object("key") == b"body"
    assert proxy.done == {LOST_ANSWER: 1}


@pytest.mark.parametrize(
    ("faults", "kind", "status"),
    [(Faults(error=1), ERROR, 500), (Faults(slow_down=1), SLOW_DOWN, 503)],
)
@pytest.mark.parametrize("service", ["s3", "sqs"])
def test_injected_errors_look_like_aws_and_are_retried(
    proxy: FaultProxy, calls: list[Call], service: str, faults: Faults, kind: str, status: int
) -> None:
    proxy.faults = {service.upper(): faults}
    asking = client(proxy, service, attempts=2)
    with pytest.raises(ClientError) as raised:
        put(asking) if service == "s3" else asking.get_queue_url(QueueName=f"{NAME}-requests")
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert raised.value.response["Error"]["Code"].endswith(
        "SlowDown" if kind == SLOW_DOWN else "InternalError"
    )
    assert proxy.done == {kind: 2}
    assert [call.retry for call in calls] == [False, True]


def test_faults_are_per_service_and_latency_only_delays(aws: Cloud, proxy: FaultProxy) -> None:
    proxy.faults = {"S3": Faults(latency=1, latency_seconds=0.01), "SQS": Faults(error=1)}
    put(client(proxy, "s3"))
    assert aws.object("key") == b"body"
    assert proxy.done == {LATENCY: 1}


def test_outage_answers_nothing_until_it_ends(aws: Cloud, proxy: FaultProxy) -> None:
    s3 = client(proxy, "s3")
    put(s3)
    proxy.outage.set()
    with pytest.raises(RESETS):
        put(s3)
    proxy.outage.clear()
    put(s3)
    assert proxy.done == {OUTAGE: 1}
