"""The baseline: a worker as first implementations of such services write it.

One message at a time, float32, torchvision's own transforms, no batching, no heartbeat. It ends
when the queue has been empty for a second.
"""

import json
import os
import sys
import time
from io import BytesIO
from typing import Any

import boto3
import torch
from PIL import Image
from torchvision import transforms
from torchvision.transforms import InterpolationMode

from visionfleet.config import load
from visionfleet.model.loading import load as load_model

QUEUE, INPUT, OUTPUT = "visionfleet-requests", "visionfleet-input", "visionfleet-output"


def main() -> None:
    """Say that it is ready, then answer messages one by one."""
    config = load(None, os.environ).config
    torch.set_num_threads(config.model.threads or 2)
    loaded = load_model(config.model)
    how = loaded.preprocessing
    transform = transforms.Compose(
        [
            transforms.Resize(how.resize, InterpolationMode(how.interpolation)),
            transforms.CenterCrop(how.crop),
            transforms.ToTensor(),
            transforms.Normalize(how.mean, how.std),
        ]
    )
    where: dict[str, Any] = {
        "endpoint_url": config.aws.endpoint_url,
        "region_name": config.aws.region,
    }
    s3, sqs = boto3.client("s3", **where), boto3.client("sqs", **where)
    url = sqs.get_queue_url(QueueName=QUEUE)["QueueUrl"]
    with torch.no_grad():
        loaded.module(torch.rand(1, 3, how.crop, how.crop))
    print("ready", file=sys.stderr, flush=True)
    last = time.monotonic()
    while time.monotonic() - last < 60:
        answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=1, WaitTimeSeconds=1)
        for message in answer.get("Messages", ()):
            last = time.monotonic()
            request = json.loads(message["Body"])
            data = s3.get_object(Bucket=INPUT, Key=request["key"])["Body"].read()
            image = Image.open(BytesIO(data)).convert("RGB")
            with torch.no_grad():
                logits = loaded.module(transform(image).unsqueeze(0))
            label = loaded.labels[int(logits.argmax())]
            s3.put_object(Bucket=OUTPUT, Key=f"results/{request['job']}.json", Body=label.encode())
            reply = sqs.get_queue_url(QueueName=request["reply_to"])["QueueUrl"]
            sqs.send_message(QueueUrl=reply, MessageBody=json.dumps([request["job"], label]))
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


if __name__ == "__main__":
    main()
