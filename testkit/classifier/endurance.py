"""One real classifier over many mixed requests, and its resident memory meanwhile."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from testkit.aws.embedded import BUCKETS, NAME, Cloud, cloud
from testkit.classifier.daemon import classifier_daemon
from testkit.images.upload_mix import BAD_SHARES, SHARES, bad_uploads, good_uploads
from testkit.processes.daemons import Process, of_family
from testkit.processes.waiting import wait_until

REQUESTS, REPLIES = f"{NAME}-requests", f"{NAME}-replies-endurance-0"
DEPTH = 200  # requests that wait at the most
PORTION = 100
BROKEN_SHARE = 0.02
REPLY_SHARE = 0.1


@dataclass(frozen=True)
class MemoryReading:
    """Memory of the process in MiB when so many images had been answered.

    `own` is what of it is no file's page, so that a second worker on the machine needs it again.
    """

    images: int
    resident: float
    own: float
    peak: float


@dataclass
class Endurance:
    """What came of a run. `wrong` are answers of the wrong kind, of those that were looked at."""

    images: int
    readings: list[MemoryReading] = field(default_factory=list)
    broken: int = 0
    looked_at: int = 0
    wrong: int = 0
    seconds: float = 0.0

    def at(self, images: int) -> float:
        """Resident memory at the first reading after so many images."""
        return next(r.resident for r in self.readings if r.images >= images)

    @property
    def highest(self) -> float:
        """Highest resident memory the kernel saw at any instant."""
        return self.readings[-1].peak


@dataclass
class RequestLoad:
    """Sends requests for images that stay where they are, and takes the results away."""

    aws: Cloud
    random: Random
    run: Endurance
    sent: int = 0
    answered: int = 0

    def over(self) -> bool:
        return self.answered >= self.run.images

    def send(self) -> None:
        """Send another portion unless enough are waiting."""
        room = min(PORTION, self.run.images - self.sent)
        if not room or self.aws.counts()[0] > DEPTH - PORTION:
            return
        url = self.aws.queue_url(REQUESTS)
        for start in range(self.sent, self.sent + room, 10):
            numbers = range(start, min(start + 10, self.sent + room))
            entries = [{"Id": str(i), "MessageBody": self._request(i)} for i in numbers]
            assert not self.aws.sqs.send_message_batch(QueueUrl=url, Entries=entries).get("Failed")
        self.sent += room

    def collect(self) -> int:
        """Take away all results that are there; look at the broken ones and some others."""
        listed = self.aws.s3.list_objects_v2(Bucket=BUCKETS[1], Prefix="results/")
        keys = [entry["Key"] for entry in listed.get("Contents", ())]
        for key in keys:
            if "broken" in key or self.random.random() < BROKEN_SHARE:
                self._look(key)
        if keys:
            gone = {"Objects": [{"Key": key} for key in keys], "Quiet": True}
            self.aws.s3.delete_objects(Bucket=BUCKETS[1], Delete=gone)
            self.aws.receive(REPLIES)
        self.answered += len(keys)
        return len(keys)

    def _request(self, number: int) -> str:
        broken = self.random.random() < BROKEN_SHARE
        self.run.broken += broken
        shares = BAD_SHARES if broken else SHARES
        (kind,) = self.random.choices(list(shares), list(shares.values()))
        request = {
            "v": 1,
            "job": f"{'broken' if broken else 'good'}-{number:06d}",
            "key": f"images/{kind}",
            "sent_at": time.time(),
        }
        if self.random.random() < REPLY_SHARE:
            request["reply_to"] = REPLIES
        return json.dumps(request)

    def _look(self, key: str) -> None:
        result = json.loads(self.aws.object(key) or b"{}")
        self.run.looked_at += 1
        self.run.wrong += result.get("status") != ("failed" if "broken" in key else "succeeded")


def endure(
    images: int,
    folder: Path,
    say: Callable[[MemoryReading], None],
    every: int = 100,
    seconds: float = 60,
) -> Endurance:
    """Run it: a reading after every so many images; an AssertionError after `seconds` of silence.

    The worker runs the default model with default settings.
    """
    begun = time.monotonic()
    with cloud(folder, {"VisibilityTimeout": "30"}) as aws, worker(folder, aws) as process:
        process.wait_for_output("ready", 90)
        load = RequestLoad(aws, Random(1), Endurance(images))
        readings, heard = load.run.readings, time.monotonic()
        while not load.over():
            load.send()
            if load.collect():
                heard = time.monotonic()
                if load.over() or not readings or load.answered >= readings[-1].images + every:
                    readings.append(reading(process, load.answered))
                    say(readings[-1])
            assert time.monotonic() < heard + seconds, process.tail()
            time.sleep(0.1)
        wait_until(lambda: aws.counts() == (0, 0), 30, process.tail)
    load.run.seconds = time.monotonic() - begun
    return load.run


@contextmanager
def worker(folder: Path, aws: Cloud) -> Iterator[Process]:
    """Upload all kinds of images, and start the classifier."""
    aws.sqs.create_queue(QueueName=REPLIES)
    for kind, data in {**good_uploads(), **bad_uploads()}.items():
        if data is not None:
            aws.s3.put_object(Bucket=BUCKETS[0], Key=f"images/{kind}", Body=data)
    with classifier_daemon(aws, folder, "endurance", "") as process:
        yield process


def reading(process: Process, images: int) -> MemoryReading:
    """Ask the kernel for VmRSS, RssAnon and VmHWM of proc(5), of the worker and its children."""
    sums = dict.fromkeys(("VmRSS", "RssAnon", "VmHWM"), 0)
    for text in of_family(process.pid, "status"):
        for line in text.splitlines():
            name, value = line.split(":", 1)
            if name in sums:
                sums[name] += int(value.split()[0])
    return MemoryReading(images, *(round(kib / 1024, 1) for kib in sums.values()))
