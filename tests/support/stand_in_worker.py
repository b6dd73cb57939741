"""A worker that looks like a classifier to the scaler, and starts without a model.

It reports its state, answers requests as far as deleting them, and obeys the wish to drain.
Run by supervisor as `python stand_in_worker.py NAME SERVICE_SECONDS`.
"""

import json
import os
import signal
import sys
import threading
import time
from typing import Any

import boto3

NAME, SERVICE_SECONDS = sys.argv[1], float(sys.argv[2])
STARTED = time.time()
BUCKET, QUEUE = "visionfleet-output", "visionfleet-requests"
WHERE: dict[str, Any] = {
    "endpoint_url": os.environ["VISIONFLEET_AWS__ENDPOINT_URL"],
    "region_name": "us-east-1",
}
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
s3, sqs = boto3.client("s3", **WHERE), boto3.client("sqs", **WHERE)
url = sqs.get_queue_url(QueueName=QUEUE)["QueueUrl"]
written: list[str] = []


def report(state: str) -> None:

    if written[-1:] == [state]:
        return
    written.append(state)
    body = {"worker": NAME, "state": state, "since": time.time(), "reported_at": time.time()}
    body |= {"started_at": STARTED, "version": "0", "host": "h", "boot_seconds": 0.5}
    s3.put_object(Bucket=BUCKET, Key=f"fleet/workers/{NAME}.json", Body=json.dumps(body).encode())


def asked_to_drain() -> bool:
    try:
        wish = s3.get_object(Bucket=BUCKET, Key=f"fleet/drain/{NAME}")["Body"].read()
    except s3.exceptions.NoSuchKey:
        return False
    return float(wish) >= STARTED


while not stop.is_set():
    if asked_to_drain():
        report("drained")
        stop.wait()
        break
    answer = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=0)
    for message in answer.get("Messages", ()):
        report("busy")
        stop.wait(SERVICE_SECONDS)
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    if not answer.get("Messages"):
        report("idle")
        stop.wait(0.2)
