"""CPU per call and memory of the emulators of AWS: `python -m bench.emulators`.

CPU is the server's alone, from /proc, for calls of one client, one after the other.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

from testkit.aws.embedded import BUCKETS, Cloud, cloud
from testkit.aws.ministack import ministack
from testkit.processes.daemons import family

CALLS, DEPTH = 300, 2500
IMAGE = os.urandom(100_000)
EMULATORS: dict[str, Callable[[Path], AbstractContextManager[Cloud]]] = {
    "moto": cloud,
    "MiniStack": ministack,
}


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 2**20


def filled(made: Cloud) -> str:
    url = str(made.sqs.create_queue(QueueName=uuid4().hex)["QueueUrl"])
    for _ in range(DEPTH // 10):
        entries = [{"Id": str(number), "MessageBody": "x" * 300} for number in range(10)]
        made.sqs.send_message_batch(QueueUrl=url, Entries=entries)
    return url


def send(made: Cloud, url: str) -> None:
    made.sqs.send_message(QueueUrl=url, MessageBody="x" * 300)


def receive_and_delete(made: Cloud, url: str) -> None:
    messages = made.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    entries = [
        {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
        for number, message in enumerate(messages)
    ]
    made.sqs.delete_message_batch(QueueUrl=url, Entries=entries)


def calls(made: Cloud) -> Iterator[tuple[str, int, Callable[[int], Any]]]:
    """What is measured: its name, how often, and a call by its number."""
    s3, bucket, run = made.s3, BUCKETS[0], uuid4().hex
    url = str(made.sqs.create_queue(QueueName=uuid4().hex)["QueueUrl"])
    put: dict[str, Any] = {"Bucket": bucket, "Body": IMAGE}
    yield "put 100 KB", CALLS, lambda n: s3.put_object(Key=f"{run}/{n}", **put)
    yield (
        "get 100 KB",
        CALLS,
        lambda n: s3.get_object(Bucket=bucket, Key=f"{run}/{n}")["Body"].read(),
    )
    small: dict[str, Any] = {"Bucket": bucket, "Body": b"x" * 700, "IfNoneMatch": "*"}
    yield "conditional put", CALLS, lambda n: s3.put_object(Key=f"{run}/c{n}", **small)
    yield "send", CALLS, lambda _: send(made, url)
    deep = filled(made)
    yield "receive and delete 10", CALLS // 6, lambda _: receive_and_delete(made, deep)


def main() -> None:
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        for name, start in EMULATORS.items():
            (folder / name).mkdir()
            made = running.enter_context(start(folder / name))
            pid = max(family(os.getpid())[1:])  # the youngest of our children
            before = resident_mib(pid)
            for _ in range(3):
                for what, count, call in calls(made):
                    began = cpu_seconds(pid)
                    for number in range(count):
                        call(number)
                    used = (cpu_seconds(pid) - began) / count * 1000
                    print(f"{name}: {what}: {used:.2f} ms", flush=True)
            print(
                f"{name}: resident {before:.0f} MiB, then {resident_mib(pid):.0f} MiB", flush=True
            )


if __name__ == "__main__":
    main()
