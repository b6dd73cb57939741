"""The embedded AWS as a real process, with real boto3 over HTTP."""

import http.client
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from testkit.processes.daemons import Process, started, started_module
from testkit.processes.ports import accepts, free_port
from testkit.processes.waiting import wait_until

MODULE = "testkit.aws.embedded_server"

# moto looks for the service in it and does not check it
AS_OWNER = (
    "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, "
    "SignedHeaders=host, Signature=0"
)

POLLER = """
import boto3, sys
sqs = boto3.client("sqs", endpoint_url=sys.argv[1], region_name="us-east-1",
                   aws_access_key_id="test", aws_secret_access_key="test")
sqs.meta.events.register("before-send", lambda **kwargs: print("polling", flush=True))
sqs.receive_message(QueueUrl=sys.argv[2], WaitTimeSeconds=20, MaxNumberOfMessages=10)
print("received", flush=True)
"""


def client(service: Any, port: int) -> Any:
    return boto3.client(
        service,
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        # one try: what the server does wrong must not be hidden by a retry
        config=Config(retries={"total_max_attempts": 1}, max_pool_connections=40),
    )


def ready(process: Process, port: int) -> None:
    process.wait_for_output("embedded AWS at", seconds=30)
    wait_until(lambda: accepts(port), 10, process.tail)


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    number = free_port()
    log = tmp_path_factory.mktemp("embedded") / "log"
    with started_module(MODULE, "--port", str(number), log=log) as process:
        ready(process, number)
        yield number


@pytest.fixture
def make(port: int) -> Iterator[Callable[[str], Any]]:
    """Make boto3 clients that are closed at the end of the test."""
    with ExitStack() as stack:
        yield lambda service: stack.enter_context(closing(client(service, port)))


@pytest.fixture
def sqs(make: Callable[[str], Any]) -> Any:
    return make("sqs")


@pytest.fixture
def s3(make: Callable[[str], Any]) -> Any:
    return make("s3")


@pytest.fixture
def bucket(s3: Any) -> str:
    name = f"bucket-{uuid4().hex}"
    s3.create_bucket(Bucket=name)
    return name


def make_queue(sqs: Any, **attributes: str) -> str:
    url: str = sqs.create_queue(QueueName=f"q-{uuid4().hex}", Attributes=attributes)["QueueUrl"]
    return url


def receive(sqs: Any, queue: str, seconds: int = 0) -> list[Any]:
    answer = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=seconds, MaxNumberOfMessages=10)
    messages: list[Any] = answer.get("Messages", [])
    return messages


def stay_waiting(polls: list[Future[Any]], seconds: float) -> None:
    """Expect that no poll is answered within this time, in which all reach the server."""
    assert not wait(polls, seconds, FIRST_COMPLETED).done


def fill(sqs: Any, queue: str, count: int) -> None:
    for first in range(0, count, 10):
        entries = [{"Id": str(n), "MessageBody": f"{first + n}"} for n in range(10)]
        sqs.send_message_batch(QueueUrl=queue, Entries=entries)


def test_start_prints_address_and_that_nothing_is_kept(tmp_path: Path) -> None:
    number = free_port()
    with started_module(MODULE, "--port", str(number), log=tmp_path / "log") as process:
        text = process.wait_for_output("embedded AWS at", seconds=30)
    assert f"http://127.0.0.1:{number}" in text
    assert "kept in memory only and is forgotten when it stops" in text


def test_answers_readiness_requests_and_keeps_the_connection(port: int) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.connect()
        first = connection.sock
        for _ in range(3):
            connection.request("GET", "/moto-api/")
            response = connection.getresponse()
            assert response.status == 200
            response.read()
            assert connection.sock is first, "the server closed the connection"


def test_a_conditional_put_of_an_existing_key_fails_with_412(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"first", IfNoneMatch="*")
    with pytest.raises(ClientError) as failure:
        s3.put_object(Bucket=bucket, Key="k", Body=b"second", IfNoneMatch="*")
    assert failure.value.response["ResponseMetadata"]["HTTPStatusCode"] == 412
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"first"


def put_at_once(connections: list[http.client.HTTPConnection], path: str) -> list[int]:
    headers = {"Authorization": AS_OWNER, "If-None-Match": "*"}
    for connection in connections:
        connection.request("PUT", path, body=b"x" * 10_000, headers=headers)
    statuses = []
    for connection in connections:
        response = connection.getresponse()
        response.read()
        statuses.append(response.status)
    return statuses


def test_one_of_concurrent_conditional_puts_wins(port: int, bucket: str) -> None:
    with ExitStack() as stack:
        connections = [
            stack.enter_context(closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)))
            for _ in range(8)
        ]
        for number in range(100):
            statuses = put_at_once(connections, f"/{bucket}/k{number}")
            assert sorted(statuses) == [200] + 7 * [412]


def test_broken_upload_leaves_no_object(port: int, s3: Any, bucket: str) -> None:
    head = (
        f"PUT /{bucket}/broken HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 1000\r\n\r\n"
    )
    with closing(socket.create_connection(("127.0.0.1", port))) as connection:
        connection.sendall(head.encode() + b"x" * 500)
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(10)
        while connection.recv(65536):  # the server has dealt with it when it closes
            pass
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_message_returns_after_its_visibility_timeout(sqs: Any) -> None:
    queue = make_queue(sqs, VisibilityTimeout="1")
    sqs.send_message(QueueUrl=queue, MessageBody="hello")
    assert [m["Body"] for m in receive(sqs, queue)] == ["hello"]
    assert receive(sqs, queue) == []
    started_at = time.monotonic()
    assert [m["Body"] for m in receive(sqs, queue, seconds=20)] == ["hello"]
    assert time.monotonic() - started_at < 15, "it ends the poll"


def test_message_is_dead_lettered_after_its_last_receive(sqs: Any) -> None:
    dead = make_queue(sqs)
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])
    redrive = {"deadLetterTargetArn": arn["Attributes"]["QueueArn"], "maxReceiveCount": 2}
    queue = make_queue(sqs, VisibilityTimeout="0", RedrivePolicy=json.dumps(redrive))
    sqs.send_message(QueueUrl=queue, MessageBody="bad")
    got = [m["Body"] for _ in range(3) for m in receive(sqs, queue)]
    assert got == ["bad", "bad"]
    assert [m["Body"] for m in receive(sqs, dead)] == ["bad"]


def test_message_ends_a_long_poll(sqs: Any, capsys: pytest.CaptureFixture[str]) -> None:
    queue = make_queue(sqs)

    def poll() -> float:
        assert len(receive(sqs, queue, seconds=20)) == 1
        return time.monotonic()

    latencies = []
    with ThreadPoolExecutor(1) as pool:
        for _ in range(5):
            parked = pool.submit(poll)
            stay_waiting([parked], 0.1)
            sent = time.monotonic()
            sqs.send_message(QueueUrl=queue, MessageBody="wake up")
            latencies.append(parked.result(timeout=25) - sent)
    with capsys.disabled():
        print(f" [wake latency ms: {' '.join(f'{1000 * s:.1f}' for s in latencies)}]", end="")
    assert sorted(latencies)[2] < 0.5
    assert max(latencies) < 10, "it ends the poll"


def test_long_poll_of_a_killed_client_takes_nothing(sqs: Any, port: int, tmp_path: Path) -> None:
    queue = make_queue(sqs, VisibilityTimeout="600")
    argv = [sys.executable, "-c", POLLER, f"http://127.0.0.1:{port}", queue]
    with started(argv, tmp_path / "poller.log") as poller:
        poller.wait_for_output("polling", seconds=30)
        with pytest.raises(subprocess.TimeoutExpired):  # it is still waiting after this time
            poller.popen.wait(0.3)
        poller.kill()
        assert "received" not in poller.output()
        sqs.send_message(QueueUrl=queue, MessageBody="mine")
        assert [m["Body"] for m in receive(sqs, queue, seconds=2)] == ["mine"]


def test_many_long_polls_leave_room_for_other_requests(sqs: Any) -> None:
    queue = make_queue(sqs)
    with ThreadPoolExecutor(32) as pool:
        parked = [pool.submit(receive, sqs, queue, 20) for _ in range(32)]
        stay_waiting(parked, 0.5)
        started_at = time.monotonic()
        fill(sqs, queue, 40)
        assert time.monotonic() - started_at < 10, "none waits for the end of a poll"
        bodies = [m["Body"] for future in parked for m in receive_while_sending(sqs, queue, future)]
    bodies += [m["Body"] for m in receive(sqs, queue)]
    assert len(bodies) == len(set(bodies)), "a message was handed out twice"
    assert {str(n) for n in range(40)} <= set(bodies)


def receive_while_sending(sqs: Any, queue: str, future: Any) -> list[Any]:
    """Wait for one parked poll, with more messages sent while it finds none."""

    def done() -> bool:
        if not future.done():
            sqs.send_message(QueueUrl=queue, MessageBody=f"more-{uuid4().hex}")
        finished: bool = future.done()
        return finished

    wait_until(done, 15, "a parked poll answers")
    messages: list[Any] = future.result()
    return messages


def test_receiving_from_a_deep_queue_is_quick(sqs: Any) -> None:
    queue = make_queue(sqs)
    fill(sqs, queue, 1000)
    seconds = []
    for _ in range(5):
        started_at = time.monotonic()
        assert len(receive(sqs, queue)) == 10
        seconds.append(time.monotonic() - started_at)
    assert min(seconds) < 0.3


def test_stops_in_time_with_long_polls(tmp_path: Path) -> None:
    number = free_port()
    with ExitStack() as stack:
        process = stack.enter_context(
            started_module(MODULE, "--port", str(number), log=tmp_path / "log")
        )
        ready(process, number)
        sqs = stack.enter_context(closing(client("sqs", number)))
        queue = make_queue(sqs)
        pool = stack.enter_context(ThreadPoolExecutor(4))
        parked = [pool.submit(receive, sqs, queue, 20) for _ in range(4)]
        stay_waiting(parked, 1.0)
        status, seconds = process.stop()
        assert status == 0, process.tail()
        assert seconds < 10, "no poll is waited for"
        assert [future.result(timeout=30) for future in parked] == 4 * [[]]
        assert "Traceback" not in process.output()
