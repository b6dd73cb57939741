"""The two calls of an upload and nothing else, as many times as is asked for.

Run as `python -m bench.bare_calls plain|tuned COUNT FILE`; prints the CPU seconds they took.
`plain` is a client as boto3 makes it, `tuned` one with visionfleet's settings.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from visionfleet.aws.clients import ClientFactory

WARM_UP = 20
BODY = json.dumps({"v": 1, "job": "0" * 26, "key": "images/" + "0" * 26, "sent_at": 0.0})


def clients(kind: str, endpoint: str) -> tuple[Any, Any]:
    """Make the clients for S3 and SQS."""
    if kind == "tuned":
        door = ClientFactory("us-east-1", endpoint, 30.0, 4, placeholder_credentials=True)
        return door.client("s3"), door.client("sqs")
    where: dict[str, Any] = {"endpoint_url": endpoint, "region_name": "us-east-1"}
    path = Config(s3={"addressing_style": "path"})
    return boto3.client("s3", config=path, **where), boto3.client("sqs", **where)


def main() -> None:
    """Call, and print the cost."""
    kind, count, data = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]).read_bytes()
    s3, sqs = clients(kind, os.environ["VISIONFLEET_AWS__ENDPOINT_URL"])
    url = sqs.create_queue(QueueName="bench-calls")["QueueUrl"]
    began = 0.0
    for number in range(WARM_UP + count):
        if number == WARM_UP:
            began = time.process_time()
        s3.put_object(
            Bucket="visionfleet-input",
            Key=f"calls/{number}",
            Body=data,
            ContentType="image/jpeg",
            Metadata={"file-name": "photo.jpg"},
        )
        sqs.send_message(QueueUrl=url, MessageBody=BODY)
    print(time.process_time() - began)


if __name__ == "__main__":
    main()
