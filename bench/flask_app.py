"""The web tier that first implementations have: Flask on gunicorn's threads.

Each request puts its image, sends its request, and polls the one response queue; what it finds
for others goes into a shared map. It is a good one of its kind: ids for keys, long polls, one
client for all threads, and no lost replies, as long as there is one process.
"""

import json
import os
import threading
import time
import uuid
from typing import Any

import boto3
from botocore.config import Config
from flask import Flask, request

QUEUE = "visionfleet-replies-flask"
BUCKET = "visionfleet-input"


class Responses:
    """The response queue, and what came from it for requests that still look."""

    def __init__(self, sqs: Any) -> None:
        self._sqs = sqs
        self._url = sqs.create_queue(QueueName=QUEUE)["QueueUrl"]
        self._found: dict[str, Any] = {}
        self._lock = threading.Lock()

    def wait_for(self, job: str) -> Any:
        """Poll until the job's response is there."""
        while True:
            with self._lock:
                if job in self._found:
                    return self._found.pop(job)
            self._poll()

    def _poll(self) -> None:
        answer = self._sqs.receive_message(
            QueueUrl=self._url, MaxNumberOfMessages=10, WaitTimeSeconds=1
        )
        for message in answer.get("Messages", ()):
            body = json.loads(message["Body"])
            with self._lock:
                self._found[body["job"]] = body["result"]
            self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])


def application() -> Flask:
    """Make the application, for `gunicorn 'bench.flask_app:application()'`."""
    where: dict[str, Any] = {
        "endpoint_url": os.environ["VISIONFLEET_AWS__ENDPOINT_URL"],
        "region_name": "us-east-1",
        "config": Config(max_pool_connections=64, s3={"addressing_style": "path"}),
    }
    s3, sqs = boto3.client("s3", **where), boto3.client("sqs", **where)
    requests = sqs.get_queue_url(QueueName="visionfleet-requests")["QueueUrl"]
    responses = Responses(sqs)
    app = Flask(__name__)

    @app.post("/")
    def classify() -> Any:
        file = next(iter(request.files.values()))
        job = uuid.uuid4().hex
        s3.put_object(Bucket=BUCKET, Key=f"images/{job}", Body=file.read())
        body = {"v": 1, "job": job, "key": f"images/{job}", "reply_to": QUEUE, "top": 5}
        body |= {"sent_at": time.time(), "file_name": file.filename or ""}
        sqs.send_message(QueueUrl=requests, MessageBody=json.dumps(body))
        return responses.wait_for(job)

    return app
