"""Plays the classifier over boto3: no model, but the whole contract, and misbehaviour on demand."""

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from testkit.aws.embedded import BUCKETS, NAME, Cloud
from visionfleet.contract.vectors import encode_vector


def label_of(image: bytes) -> str:
    """Tell the label that the stand-in gives an image: one of its own for each content."""
    return f"label-{hashlib.sha256(image).hexdigest()[:12]}"


def vector_of(image: bytes) -> str:
    """Write the vector that it gives an image: four numbers, of which the last is zero."""
    return encode_vector([*hashlib.sha256(image).digest()[:3], 0.0])


@dataclass
class StandIn:
    """`replies` is how often each is sent. While `gate` is clear, requests are held unanswered."""

    cloud: Cloud
    replies: int = 1
    fails: bool = False
    unsure: bool = False
    vectors: bool = False
    delay_seconds: float = 0.0
    gate: threading.Event = field(default_factory=threading.Event)
    stopped: threading.Event = field(default_factory=threading.Event)
    handled: list[dict[str, Any]] = field(default_factory=list)

    def run(self) -> None:
        """Answer requests until stopped."""
        url = self.cloud.queue_url(f"{NAME}-requests")
        while not self.stopped.is_set():
            answer = self.cloud.sqs.receive_message(
                QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1
            )
            for message in answer.get("Messages", ()):
                self._handle(json.loads(message["Body"]))
                self.cloud.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    def _handle(self, request: dict[str, Any]) -> None:
        while not self.gate.wait(0.1):
            if self.stopped.is_set():
                return
        if self.delay_seconds:
            self.stopped.wait(self.delay_seconds)
        image = self.cloud.s3.get_object(Bucket=BUCKETS[0], Key=request["key"])["Body"].read()
        result = failed(request) if self.fails else succeeded(request, label_of(image))
        if self.vectors and request.get("embed"):
            result["vector"] = vector_of(image)
        if self.unsure:
            result |= {"label": None, "reason": "low confidence"}
        self.cloud.s3.put_object(
            Bucket=BUCKETS[1], Key=f"results/{request['job']}.json", Body=json.dumps(result)
        )
        reply = json.dumps({"v": 1, "job": request["job"], "result": result})
        self.handled.append(request)  # before the reply, upon which a test may count
        for _ in range(self.replies):
            self.cloud.send(request["reply_to"], reply)


@contextmanager
def stand_in(
    cloud: Cloud, threads: int = 1, held: bool = False, **options: Any
) -> Iterator[StandIn]:
    """Run a stand-in on threads; `held` starts it with its gate closed."""
    made = StandIn(cloud, **options)
    if not held:
        made.gate.set()
    with on_threads(made.run, threads, made.stopped):
        yield made


@contextmanager
def on_threads(work: Callable[[], None], count: int, stopped: threading.Event) -> Iterator[None]:
    """Run work on threads for the length of a with block, which sets `stopped` at its end."""
    running = [threading.Thread(target=work, name="stand-in") for _ in range(count)]
    for thread in running:
        thread.start()
    try:
        yield
    finally:
        stopped.set()
        for thread in running:
            thread.join()


def succeeded(request: dict[str, Any], label: str) -> dict[str, Any]:
    """Write a result as a classifier would."""
    ranking = [{"index": i, "label": label, "score": 0.9 / (i + 1)} for i in range(request["top"])]
    return {
        **_common(request),
        "status": "succeeded",
        "label": label,
        "score": 0.9,
        "top": ranking,
        "model": {"name": "stand-in", "fingerprint": "0000"},
        "timings": {"queue": 0.01, "fetch": 0.01, "decode": 0.01, "infer": 0.01},
    }


def failed(request: dict[str, Any], code: str = "cannot_be_decoded") -> dict[str, Any]:
    """Write a failed result."""
    return {**_common(request), "status": "failed", "code": code, "reason": "it is broken"}


def _common(request: dict[str, Any]) -> dict[str, Any]:
    return {
        "v": 1,
        "job": request["job"],
        "file_name": request["file_name"],
        "attempts": 1,
        "worker": "stand-in",
        "finished_at": time.time(),
    }
