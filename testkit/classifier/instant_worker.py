"""A stand-in worker that answers at once and in batches of ten, for thousands of jobs.

Run as `python -m testkit.classifier.instant_worker ENDPOINT THREADS` it is a process of its own,
which does not read the images; SIGTERM ends it.
"""

import json
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from testkit.aws.embedded import BUCKETS, NAME, Cloud, connect
from testkit.classifier.stand_in import label_of, on_threads, succeeded


class InstantWorker:
    """Answers at once while `gate` is set; without reading images, all get one label."""

    def __init__(self, cloud: Cloud, reads_images: bool = True) -> None:
        self.gate = threading.Event()
        self.stopped = threading.Event()
        self._cloud, self._reads_images = cloud, reads_images
        self._urls: dict[str, str] = {}

    def run(self) -> None:
        """Answer until stopped."""
        sqs, requests = self._cloud.sqs, self._url(f"{NAME}-requests")
        while not self.stopped.is_set():
            if not self.gate.wait(0.1):
                continue
            answer = sqs.receive_message(
                QueueUrl=requests, MaxNumberOfMessages=10, WaitTimeSeconds=1
            )
            messages = answer.get("Messages", ())
            replies: dict[str, list[dict[str, str]]] = {}
            for message in messages:
                request = json.loads(message["Body"])
                body = json.dumps({"v": 1, "job": request["job"], "result": self._result(request)})
                entries = replies.setdefault(request["reply_to"], [])
                entries.append({"Id": str(len(entries)), "MessageBody": body})
            for queue, entries in replies.items():
                sqs.send_message_batch(QueueUrl=self._url(queue), Entries=entries)
            if messages:
                done = [
                    {"Id": str(i), "ReceiptHandle": message["ReceiptHandle"]}
                    for i, message in enumerate(messages)
                ]
                sqs.delete_message_batch(QueueUrl=requests, Entries=done)

    def _result(self, request: dict[str, Any]) -> dict[str, Any]:
        s3, image = self._cloud.s3, b""
        if self._reads_images:
            image = s3.get_object(Bucket=BUCKETS[0], Key=request["key"])["Body"].read()
        result = succeeded(request, label_of(image))
        key = f"results/{request['job']}.json"
        s3.put_object(Bucket=BUCKETS[1], Key=key, Body=json.dumps(result))
        return result

    def _url(self, queue: str) -> str:
        if queue not in self._urls:
            self._urls[queue] = self._cloud.queue_url(queue)
        return self._urls[queue]


@contextmanager
def instant_worker(cloud: Cloud, held: bool = False, threads: int = 2) -> Iterator[InstantWorker]:
    """Run it on threads; `held` starts it with its gate closed."""
    made = InstantWorker(cloud)
    if not held:
        made.gate.set()
    with on_threads(made.run, threads, made.stopped):
        yield made


def main() -> None:
    """Answer until SIGTERM."""
    worker = InstantWorker(connect(sys.argv[1]), reads_images=False)
    worker.gate.set()
    signal.signal(signal.SIGTERM, lambda *_: worker.stopped.set())
    with on_threads(worker.run, int(sys.argv[2]), worker.stopped):
        print("ready", flush=True)
        worker.stopped.wait()


if __name__ == "__main__":
    main()
