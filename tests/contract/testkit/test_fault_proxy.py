"""The fault proxy itself: each fault does what its name says, and is counted."""

from collections.abc import Iterator
from contextlib import suppress
from random import Random
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError
from urllib3.exceptions import HTTPError

from testkit.aws.ec2_proxy import ec2_proxy
from testkit.aws.embedded import BUCKETS, NAME, Cloud, add_template, ec2_client
from testkit.aws.fault_proxy import Call, FaultProxy, fault_proxy
from testkit.aws.faults import (
    ERROR,
    HALF_FAILED,
    LATENCY,
    LOST_ANSWER,
    NOT_DELETED,
    OUTAGE,
    RECEIVED_LATE,
    RECEIVED_TWICE,
    RESET_BEFORE,
    SKEWED,
    SLOW_DOWN,
    Faults,
    cut_at_random,
)

RESETS = (HTTPClientError, ConnectionError)


@pytest.fixture
def calls() -> list[Call]:
    return []


@pytest.fixture
def proxy(aws: Cloud, calls: list[Call]) -> Iterator[FaultProxy]:
    with fault_proxy(aws.endpoint_url, watch=calls.append) as made:
        yield made


def client(proxy: FaultProxy, service: Any, attempts: int = 1) -> Any:
    retries: Any = {"mode": "standard", "total_max_attempts": attempts}
    config = Config(retries=retries, s3={"addressing_style": "path"}, read_timeout=5)
    keys: Any = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
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


@pytest.mark.parametrize("faults", [Faults(cut_answer=1), Faults(cut_error=1)])
def test_cut_answers_are_cut_in_every_part(aws: Cloud, proxy: FaultProxy, faults: Faults) -> None:
    aws.s3.put_object(Bucket=BUCKETS[1], Key="key", Body=b"body")
    proxy.faults = {"S3": faults}
    s3 = client(proxy, "s3")
    for _ in range(100):
        with suppress(HTTPClientError, ClientError, HTTPError, OSError):
            s3.get_object(Bucket=BUCKETS[1], Key="key")
        if len(proxy.done) == 3:
            break
    parts = {kind.rpartition("in its ")[2] for kind in proxy.done}
    assert parts == {"status line", "headers", "body"}


def test_cut_loses_at_least_a_byte_and_at_most_all() -> None:
    raw, random = b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody", Random(1)
    lengths = {len(cut_at_random(raw, random)[1]) for _ in range(2000)}
    assert lengths == set(range(len(raw)))
    head = raw.removesuffix(b"body")
    assert {cut_at_random(head, random)[0] for _ in range(99)} == {"status line", "headers"}


def test_skewed_clock_is_refused_as_s3_does(proxy: FaultProxy) -> None:
    proxy.faults = {"S3": Faults(skewed=1)}
    with pytest.raises(ClientError, match="RequestTimeTooSkewed"):
        put(client(proxy, "s3"))
    assert set(proxy.done) == {SKEWED}


class Requests:
    """The queue of requests, through the proxy."""

    def __init__(self, aws: Cloud, proxy: FaultProxy) -> None:
        self.aws, self.proxy, self.sqs = aws, proxy, client(proxy, "sqs")
        self.url = {"QueueUrl": aws.queue_url(f"{NAME}-requests")}

    def send(self, count: int) -> Any:
        entries = [{"Id": str(i), "MessageBody": f"m{i}"} for i in range(count)]
        return self.sqs.send_message_batch(**self.url, Entries=entries)

    def receive(self) -> list[dict[str, Any]]:
        found = self.sqs.receive_message(**self.url, MaxNumberOfMessages=10)
        return list(found.get("Messages", ()))


@pytest.fixture
def requests(aws: Cloud, proxy: FaultProxy) -> Requests:
    return Requests(aws, proxy)


def test_message_that_is_received_twice_is_visible_at_once(requests: Requests) -> None:
    requests.send(1)
    requests.proxy.faults = {"SQS": Faults(received_twice=1)}
    first, second = requests.receive(), requests.receive()
    assert [message["Body"] for message in first + second] == ["m0", "m0"]
    assert requests.proxy.done == {RECEIVED_TWICE: 2}


def test_message_may_be_received_again_after_its_end(requests: Requests) -> None:
    requests.send(1)
    (message,) = requests.receive()
    requests.sqs.delete_message(**requests.url, ReceiptHandle=message["ReceiptHandle"])
    requests.proxy.faults = {"SQS": Faults(received_late=1)}
    found = requests.receive() + requests.receive()
    assert "m0" in {message["Body"] for message in found}
    assert set(requests.proxy.done) == {RECEIVED_LATE}


def test_deleted_in_the_answer_only_is_still_there(requests: Requests) -> None:
    requests.send(2)
    requests.proxy.faults = {"SQS": Faults(not_deleted=1)}
    one, two = requests.receive()
    requests.sqs.delete_message(**requests.url, ReceiptHandle=one["ReceiptHandle"])
    entries = [{"Id": "x", "ReceiptHandle": two["ReceiptHandle"]}]
    told = requests.sqs.delete_message_batch(**requests.url, Entries=entries)
    assert [each["Id"] for each in told["Successful"]] == ["x"]
    assert sum(requests.aws.counts()) == 2
    assert requests.proxy.done == {NOT_DELETED: 2}


def test_batch_fails_in_part_and_some_of_it_is_done(requests: Requests) -> None:
    requests.proxy.faults = {"SQS": Faults(half_failed=1)}
    succeeded = failed = 0
    for _ in range(20):
        told = requests.send(10)
        succeeded += len(told.get("Successful", ()))
        failed += len(told["Failed"])
    assert succeeded + failed == 200
    assert succeeded < sum(requests.aws.counts()) < 200
    assert requests.proxy.done == {HALF_FAILED: 20}


def test_launch_that_is_asked_again_launches_once(aws: Cloud) -> None:
    direct = ec2_client(aws)
    add_template(direct)
    launch = {"LaunchTemplate": {"LaunchTemplateName": "workers"}, "MinCount": 1, "MaxCount": 1}
    with ec2_proxy(aws.endpoint_url) as ec2, fault_proxy(aws.endpoint_url, ec2=ec2.url) as proxy:
        asked = client(proxy, "ec2")
        ids = [
            asked.run_instances(**launch, ClientToken="t")["Instances"][0]["InstanceId"]
            for _ in range(2)
        ]
        assert ids[0] == ids[1]
        put(client(proxy, "s3"))
    assert aws.object("key") == b"body"
    assert sum(len(one["Instances"]) for one in direct.describe_instances()["Reservations"]) == 1
