"""A worker that looks like a classifier to the scaler, and starts without a model.

It reports its state, on change and every second, answers requests as far as deleting them, and
obeys the request to drain. AWS may be away for a while.
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
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

NAME, SERVICE_SECONDS = sys.argv[1], float(sys.argv[2])
STARTED = time.time()
BUCKET, QUEUE = "visionfleet-output", "visionfleet-requests"
WHERE: dict[str, Any] = {
    "endpoint_url": os.environ["VISIONFLEET_AWS__ENDPOINT_URL"],
    "region_name": "us-east-1",
    "config": Config(connect_timeout=1, read_timeout=3, retries={"total_max_attempts": 1}),
}
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
s3, sqs = boto3.client("s3", **WHERE), boto3.client("sqs", **WHERE)
url = sqs.get_queue_url(QueueName=QUEUE)["QueueUrl"]
state, since, written_at = "", 0.0, 0.0


def report(now_state: str) -> None:
    global state, since, written_at
    if now_state != state:
        state, since, written_at = now_state, time.time(), 0.0
    if time.time() - written_at < 1.0:
        return
    written_at = time.time()
    body = {"worker": NAME, "state": state, "since": since, "reported_at": written_at}
    body |= {"started_at": STARTED, "version": "0", "host": "h", "boot_seconds": 0.5}
    s3.put_object(Bucket=BUCKET, Key=f"fleet/workers/{NAME}.json", Body=json.dumps(body).encode())


def asked_to_drain() -> bool:
    try:
        asked_at = s3.get_object(Bucket=BUCKET, Key=f"fleet/drain/{NAME}")["Body"].read()
    except s3.exceptions.NoSuchKey:
        return False
    return float(asked_at) >= STARTED - 2.0  # its clock and the scaler's differ


def work() -> None:
    if asked_to_drain():
        report("drained")
        stop.wait()
        return
    answer = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=0)
    for message in answer.get("Messages", ()):
        report("busy")
        stop.wait(SERVICE_SECONDS)
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    if not answer.get("Messages"):
        report("idle")
        stop.wait(0.2)


while not stop.is_set():
    try:
        work()
    except (BotoCoreError, ClientError) as error:
        print(f"{NAME}: {error}", flush=True)
        stop.wait(0.2)
