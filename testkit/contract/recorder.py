"""Records what the daemons of one release send and store: the data of the compatibility tests.

`python -m testkit.contract.recorder BIN COMMIT > tests/unit/contract/recorded.json`

BIN is the folder of that release's commands (`.venv/bin` of a checkout where `make` has run), and
COMMIT is what it was built from. Its web daemon, classifiers and scaler run against the embedded
AWS of this checkout, whose results bucket keeps every version of an object. Only HTTP, S3, SQS and
EC2 are used, so any release can be recorded. It takes about a minute and needs the extra
`classifier`.
"""

import json
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from PIL import Image

from testkit.aws.ec2_proxy import ec2_proxy
from testkit.aws.embedded import BUCKETS, NAME, Cloud, add_template, cloud, ec2_client
from testkit.images.models import table_model
from testkit.images.pictures import encoded, numbered
from testkit.processes.daemons import Process, started
from testkit.processes.ports import free_port
from testkit.processes.waiting import wait_until

HOST = "recorder"
REQUESTS, DEAD = f"{NAME}-requests", f"{NAME}-requests-dead"
SECONDS = 60.0
PICTURES, CROWD = 6, 4
# Products of matrices per image: so slow that a worker is seen at work.
ROUNDS = 60
CONFIG = """
queue: {wait_seconds: 1, visibility_timeout_seconds: 10}
web: {cache: true}
results: {by_name: true}
classifier: {report_seconds: 1}
scaler:
  fleet: ec2
  maximum: 2
  interval_seconds: 0.2
  hold_seconds: 1
  paid_seconds: 0
  service_seconds: 5
  target_wait_seconds: 1
ec2: {launch_template: workers}
"""
# Kind of an object in the results bucket by the start of its key; the longest start counts.
KINDS = {
    "results/": "result",
    "results/by-name/": "by name",
    "results/by-content/": "cached result",
    "idempotency/": "claim",
    "fleet/workers/": "worker report",
    "fleet/drain/": "drain",
    "fleet/status.json": "fleet status",
    "fleet/lease.json": "lease",
    "fleet/model.json": "model description",
    "fleet/launches.json": "launch ledger",
}


@dataclass
class Recording:
    """A release at work. `records` are ready for JSON."""

    aws: Cloud
    bin: Path
    folder: Path
    endpoint_url: str
    records: list[dict[str, Any]] = field(default_factory=list)

    def daemon(
        self, name: str, *arguments: str, **settings: str
    ) -> AbstractContextManager[Process]:
        config = self.folder / "visionfleet.yaml"
        config.write_text(CONFIG)
        return started(
            [str(self.bin / f"visionfleet-{name}"), "--config", str(config), *arguments],
            self.folder / f"{name}-{time.monotonic_ns()}.log",
            {
                "PYTHONPATH": "",
                **self.aws.environment,
                "VISIONFLEET_AWS__ENDPOINT_URL": self.endpoint_url,
                **settings,
            },
            stop_seconds=30,
        )

    def record(self, kind: str, **fields: Any) -> None:
        self.records.append({"kind": kind, **fields})

    def take(self, queue: str) -> list[dict[str, Any]]:
        """Receive and delete all messages of a queue, with their attributes."""
        url, found = self.aws.queue_url(queue), []
        while some := self.aws.sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        ).get("Messages"):
            for message in some:
                self.aws.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            found += some
        return found

    def record_queue(self, kind: str, queue: str) -> list[str]:
        """Record all messages of a queue; returns their bodies."""
        found = self.take(queue)
        for message in found:
            attributes = {
                name: value["StringValue"]
                for name, value in message.get("MessageAttributes", {}).items()
            }
            self.record(kind, queue=queue, attributes=attributes, body=message["Body"])
        return [message["Body"] for message in found]


@contextmanager
def recording(bin_folder: Path, folder: Path) -> Iterator[Recording]:
    """Run an embedded AWS that keeps what is written over."""
    with cloud(folder, {"VisibilityTimeout": "10"}) as aws, ec2_proxy(aws.endpoint_url) as ec2:
        add_template(ec2_client(aws))
        aws.s3.put_bucket_versioning(
            Bucket=BUCKETS[1], VersioningConfiguration={"Status": "Enabled"}
        )
        yield Recording(aws, bin_folder, folder, ec2.url)


def record_web(made: Recording) -> list[str]:
    """Record what the web daemon stores and sends for uploads of every kind; returns requests."""
    port = free_port()
    settings = {"VISIONFLEET_WEB__PORT": str(port), "VISIONFLEET_WEB__EXPIRE_SECONDS": "3600"}
    url = f"http://127.0.0.1:{port}"
    with made.daemon("web", **settings) as process:
        process.wait_for_output("web: ready", SECONDS)
        names = made.aws.sqs.list_queues(QueueNamePrefix=f"{NAME}-replies-")["QueueUrls"]
        for address in names:
            tags = made.aws.sqs.list_queue_tags(QueueUrl=address)["Tags"]
            made.record("reply queue", queue=address.rsplit("/", 1)[-1], tags=tags)
        named = {"file": ("Bahnhöfe/Zürich_0.JPEG", encoded(numbered(0), "JPEG", quality=95))}
        post(f"{url}/v1/jobs?top=3", files=named)
        post(f"{url}/v1/jobs", data=encoded(numbered(1)), headers={"Idempotency-Key": "once"})
        upload_past_web(url, encoded(numbered(2)))
        found = made.record_queue("request", REQUESTS)
    keys = made.aws.keys("images/", BUCKETS[0])
    for key in keys:
        stored = made.aws.s3.get_object(Bucket=BUCKETS[0], Key=key)
        made.record(
            "image", key=key, content_type=stored["ContentType"], metadata=stored["Metadata"]
        )
    return found


def upload_past_web(url: str, image: bytes) -> None:
    """Upload by the form that the web daemon signs, then start the job."""
    form = post(f"{url}/v1/uploads", json={"content_type": "image/png"})
    sent = requests.post(form["url"], data=form["fields"], files={"file": image}, timeout=SECONDS)
    sent.raise_for_status()
    post(f"{url}/v1/jobs", json={"upload": form["upload"], "file_name": "direct.png"})


def post(url: str, **options: Any) -> Any:
    answer = requests.post(url, timeout=SECONDS, **options)
    answer.raise_for_status()
    return answer.json()


def record_classifier(made: Recording, model: dict[str, str], bodies: list[str]) -> None:
    """Record replies and dead letters for these requests, and for some that fail."""
    replies = json.loads(bodies[0])["reply_to"]
    made.aws.sqs.create_queue(QueueName=replies)  # the web daemon has taken its own with it
    for body in bodies:
        made.aws.send(REQUESTS, body)
    ask = {"reply_to": replies, "sent_at": time.time()}
    made.aws.send_request("job-text", b"not an image at all", **ask)
    made.aws.send_request("job-missing", None, **ask)
    made.aws.send_request("job-expired", encoded(numbered(3)), **ask, expires_at=1.0)
    made.aws.send(REQUESTS, "this is no message")
    with made.daemon("classifier", "--worker", "w0", **model) as process:
        wait_until(lambda: len(made.aws.keys("results/0")) == len(bodies), SECONDS, process.tail)
        wait_until(lambda: made.aws.counts() == (0, 0), SECONDS, process.tail)
    doubtful = {"VISIONFLEET_MODEL__TEMPERATURE": "20", "VISIONFLEET_MODEL__UNKNOWN_BELOW": "0.9"}
    between = encoded(Image.blend(numbered(3), numbered(4), 0.5))
    made.aws.send_request("job-unsure", between, **ask, file_name="unsure.png")
    with made.daemon("classifier", "--worker", "w1", **model, **doubtful) as process:
        wait_until(lambda: made.aws.result("job-unsure"), SECONDS, process.tail)
    made.record_queue("reply", replies)
    made.record_queue("dead letter", DEAD)


def record_cache(made: Recording, model: dict[str, str]) -> None:
    """Let the web daemon keep an answer and give it again."""
    port = free_port()
    image = {"file": ("cached.png", encoded(numbered(5)))}
    with (
        made.daemon("classifier", "--worker", "w2", **model) as worker,
        made.daemon("web", VISIONFLEET_WEB__PORT=str(port)) as web,
    ):
        worker.wait_for_output("ready", SECONDS)
        web.wait_for_output("web: ready", SECONDS)
        url = f"http://127.0.0.1:{port}/v1/classify"
        wait_until(lambda: post(url, files=image)["attempts"] == 0, SECONDS, web.tail)


def record_scaler(made: Recording, model: dict[str, str]) -> None:
    """Let the scaler launch two instances and take one, a worker that is idle, away again."""
    for number in range(CROWD):
        made.aws.send_request(f"crowd{number}", encoded(numbered(number)))
    with made.daemon("scaler") as scaler:
        booting = b'"booting":2'
        wait_until(lambda: booting in (made.aws.object("fleet/status.json") or b""), SECONDS)
        found = ec2_client(made.aws).describe_instances()["Reservations"]
        worker = found[0]["Instances"][0]["InstanceId"]
        with made.daemon("classifier", "--worker", worker, **model) as classifier:
            classifier.wait_for_output("drained", SECONDS)
            scaler.wait_for_output("terminated", SECONDS)


def record_objects(made: Recording) -> None:
    """Record what was written into the results bucket: of each worker one report per state."""
    pages = made.aws.s3.get_paginator("list_object_versions").paginate(Bucket=BUCKETS[1])
    newest_first = [version for page in pages for version in page.get("Versions", ())]
    found = {}
    for version in reversed(newest_first):
        key = version["Key"]
        stored = made.aws.s3.get_object(Bucket=BUCKETS[1], Key=key, VersionId=version["VersionId"])
        body = stored["Body"].read().decode()
        kind = KINDS[max(filter(key.startswith, KINDS), key=len)]
        mark = json.loads(body)["state"] if kind == "worker report" else body
        found[key, mark] = kind, stored["ContentType"], body
    for (key, _), (kind, content_type, body) in sorted(found.items(), key=lambda item: item[0][0]):
        made.record(kind, key=key, content_type=content_type, body=body)


def main() -> None:
    """Print the recording."""
    bin_folder, commit = Path(sys.argv[1]).absolute(), sys.argv[2]
    with tempfile.TemporaryDirectory() as name, recording(bin_folder, Path(name)) as made:
        pictures = [numbered(i) for i in range(PICTURES)]
        labels = [f"label-{i}" for i in range(PICTURES)]
        model = table_model(Path(name), pictures, labels, ROUNDS)
        record_classifier(made, model, record_web(made))
        record_cache(made, model)
        record_scaler(made, model)
        record_objects(made)
        about = "made by testkit.contract.recorder, which tells how"
        whole = {"about": about, "commit": commit, "records": made.records}
        text = json.dumps(whole, indent=1, ensure_ascii=False)
    print(text.replace(socket.gethostname(), HOST))


if __name__ == "__main__":
    main()
