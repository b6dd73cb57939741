"""A worker that answers at once, in batches: what is measured beside it is the web's own work.

It does what a classifier does but for the image, which it neither reads nor looks at. Run as
`python -m bench.instant_worker ENDPOINT THREADS`; TERM ends it.
"""

import json
import signal
import sys
import threading
from collections import defaultdict
from typing import Any

from bench.bare_calls import clients
from testkit.classifier.stand_in import succeeded

OUTPUT = "visionfleet-output"


class Worker:
    """Takes up to ten requests, stores their results, replies to each queue, deletes."""

    def __init__(self, endpoint: str) -> None:
        self._s3, self._sqs = clients("tuned", endpoint)
        self._urls: dict[str, str] = {}

    def run(self, stop: threading.Event) -> None:
        """Answer until stopped."""
        url = self._url("visionfleet-requests")
        while not stop.is_set():
            answer = self._sqs.receive_message(
                QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1
            )
            if messages := answer.get("Messages"):
                self._answer([json.loads(message["Body"]) for message in messages])
                receipts = [message["ReceiptHandle"] for message in messages]
                entries = [{"Id": str(i), "ReceiptHandle": r} for i, r in enumerate(receipts)]
                self._sqs.delete_message_batch(QueueUrl=url, Entries=entries)

    def _answer(self, requests: list[dict[str, Any]]) -> None:
        replies: defaultdict[str, list[str]] = defaultdict(list)
        for request in requests:
            job, result = request["job"], succeeded(request, "cat")
            key = f"results/{job}.json"
            self._s3.put_object(Bucket=OUTPUT, Key=key, Body=json.dumps(result).encode())
            reply = {"v": 1, "job": job, "result": result}
            replies[request["reply_to"]].append(json.dumps(reply))
        for queue, bodies in replies.items():
            entries = [{"Id": str(i), "MessageBody": body} for i, body in enumerate(bodies)]
            self._sqs.send_message_batch(QueueUrl=self._url(queue), Entries=entries)

    def _url(self, queue: str) -> str:
        if queue not in self._urls:
            self._urls[queue] = self._sqs.get_queue_url(QueueName=queue)["QueueUrl"]
        return self._urls[queue]


def main() -> None:
    """Answer until told to stop."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    worker = Worker(sys.argv[1])
    threads = [threading.Thread(target=worker.run, args=(stop,)) for _ in range(int(sys.argv[2]))]
    for thread in threads:
        thread.start()
    print("ready", flush=True)
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
