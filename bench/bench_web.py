"""The web daemon against Flask on gunicorn, a handler that only reads, and boto3's calls alone.

Uploads per CPU second are the operating system's accounting of the web processes; latency is that
of one client with idle queues, against the same chain of S3 and SQS calls without a web daemon.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import urllib3
from urllib3.filepost import encode_multipart_formdata

from bench.bare_calls import clients
from bench.cpu_time import tree_cpu_seconds
from bench.figures import RESULTS, median, save, show
from testkit.aws.embedded import BUCKETS, CREDENTIALS, Cloud, cloud
from testkit.images.pictures import photo
from testkit.processes.daemons import PYTHONPATH, started, started_module
from testkit.processes.ports import accepts, free_port
from testkit.processes.waiting import wait_until

CLIENTS = 16
WARM_UP = 64
WORKER = "testkit.classifier.instant_worker"
WORKER_THREADS = 2
CHAIN = "visionfleet-replies-chain"
BODY, CONTENT_TYPE = encode_multipart_formdata({"file": ("photo.jpg", photo(), "image/jpeg")})
CONTENDERS = ("visionfleet", "flask", "bare handler", "boto3 plain", "boto3 tuned")


@dataclass(frozen=True)
class Served:
    """A contender that runs: where uploads go, and whose CPU counts."""

    url: str
    pid: int


@dataclass(frozen=True)
class Round:
    """One run of everything: CPU milliseconds per upload, and latencies in milliseconds."""

    cpu_ms: dict[str, float]
    latency_ms: dict[str, float]


def main() -> None:
    """Run everything, print, plot, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uploads", type=int, default=600)
    parser.add_argument("--latencies", type=int, default=100)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    rounds = []
    for number in range(arguments.runs):
        with tempfile.TemporaryDirectory(prefix="vf-bench-") as name:
            rounds.append(one_round(Path(name), arguments.uploads, arguments.latencies))
        told = ", ".join(f"{name} {ms:.2f} ms" for name, ms in rounds[-1].cpu_ms.items())
        print(f"  run {number + 1}: {told}", file=sys.stderr)
    report(rounds, arguments)


def one_round(folder: Path, uploads: int, latencies: int) -> Round:
    """Measure each contender once, with an embedded AWS and a worker that answers at once."""
    image = folder / "photo.jpg"
    image.write_bytes(photo())
    with cloud(folder) as aws:
        env = {**CREDENTIALS, **aws.environment}
        cpu = {f"boto3 {kind}": calls(kind, uploads, image, env) for kind in ("plain", "tuned")}
        argv = (WORKER, aws.endpoint_url, str(WORKER_THREADS))
        with started_module(*argv, log=folder / "worker.log") as worker:
            worker.wait_for_output("ready", 30)
            for name, serve in SERVERS.items():
                with serve(folder, env) as served:
                    cpu[name] = uploaded(served, uploads)
                    if name == "visionfleet":
                        latency = in_turn(served, aws, latencies)
    return Round({name: cpu[name] for name in CONTENDERS}, latency)


def calls(kind: str, count: int, image: Path, env: dict[str, str]) -> float:
    """CPU of S3 put and SQS send alone, in a process of their own."""
    argv = [sys.executable, "-m", "bench.bare_calls", kind, str(count), str(image)]
    whole = {**env, "PYTHONPATH": PYTHONPATH}
    done = subprocess.run(argv, env=whole, capture_output=True, text=True, check=True)
    return 1000 * float(done.stdout) / count


@contextmanager
def visionfleet(folder: Path, env: dict[str, str]) -> Iterator[Served]:
    """Run our daemon with its default settings."""
    port = free_port()
    (folder / "visionfleet.yaml").write_text("queue: {wait_seconds: 5}\n")
    argv = ("--config", str(folder / "visionfleet.yaml"))
    here = {**env, "VISIONFLEET_WEB__PORT": str(port)}
    with started_module(
        "visionfleetd.web.main", *argv, log=folder / "web.log", env=here, stop_seconds=30
    ) as process:
        process.wait_for_output("web: ready", 30)
        yield Served(f"http://127.0.0.1:{port}/v1/classify?wait=60", process.pid)


@contextmanager
def flask(folder: Path, env: dict[str, str]) -> Iterator[Served]:
    """Run the baseline in one process with threads, as its shared map demands."""
    port = free_port()
    argv = [sys.executable, "-m", "gunicorn", "--worker-class", "gthread", "--threads", "32"]
    argv += ["--keep-alive", "60", "--bind", f"127.0.0.1:{port}", "bench.flask_app:application()"]
    with started(argv, folder / "flask.log", env, stop_seconds=40) as process:
        wait_until(lambda: accepts(port), 30, process.tail)
        yield Served(f"http://127.0.0.1:{port}/", process.pid)


@contextmanager
def bare_handler(folder: Path, env: dict[str, str]) -> Iterator[Served]:
    """Run the handler that only reads."""
    port = free_port()
    here = {**env, "PORT": str(port)}
    with started_module("bench.bare_handler", log=folder / "bare.log", env=here) as process:
        process.wait_for_output("ready", 30)
        yield Served(f"http://127.0.0.1:{port}/", process.pid)


SERVERS = {"visionfleet": visionfleet, "flask": flask, "bare handler": bare_handler}


def uploader(url: str, connections: int) -> Callable[[object], float]:
    """Make the upload of one image, which tells its milliseconds."""
    pool = urllib3.PoolManager(maxsize=connections, block=True, retries=False)

    def upload(_: object) -> float:
        began = time.perf_counter()
        headers = {"Content-Type": CONTENT_TYPE}
        answer = pool.request("POST", url, body=BODY, headers=headers, timeout=120)
        assert answer.status == 200, answer.data
        return 1000 * (time.perf_counter() - began)

    return upload


def uploaded(served: Served, count: int) -> float:
    """CPU milliseconds per upload, `CLIENTS` at a time."""
    upload = uploader(served.url, CLIENTS)
    with ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(upload, range(WARM_UP)))
        before = tree_cpu_seconds(served.pid)
        list(clients.map(upload, range(count)))
        return 1000 * (tree_cpu_seconds(served.pid) - before) / count


def in_turn(served: Served, aws: Cloud, count: int) -> dict[str, float]:
    """The median latencies of uploads and of bare chains, in turn so that noise hits both."""
    upload, chain = uploader(served.url, 1), Chain(aws)
    times: dict[str, list[float]] = {}
    for number in range(count):
        times.setdefault("upload to answer", []).append(upload(number))
        for stage, ms in chain.link(number).items():
            times.setdefault(stage, []).append(ms)
    return {stage: median(values) for stage, values in times.items()}


class Chain:
    """The calls on the way from an image to its answer, without a web daemon."""

    def __init__(self, aws: Cloud) -> None:
        self._s3, self._sqs = clients("tuned", aws.endpoint_url)
        self._replies = self._sqs.create_queue(QueueName=CHAIN)["QueueUrl"]
        self._requests = aws.queue_url("visionfleet-requests")
        self._data = photo()

    def link(self, number: int) -> dict[str, float]:
        """Go the way once: milliseconds by stage, and of all."""
        times = [time.perf_counter()]
        self._s3.put_object(Bucket=BUCKETS[0], Key=f"images/chain{number}", Body=self._data)
        times.append(time.perf_counter())
        self._sqs.send_message(QueueUrl=self._requests, MessageBody=chained(number))
        times.append(time.perf_counter())
        answer = self._sqs.receive_message(QueueUrl=self._replies, WaitTimeSeconds=20)
        times.append(time.perf_counter())
        (message,) = answer["Messages"]
        self._sqs.delete_message(QueueUrl=self._replies, ReceiptHandle=message["ReceiptHandle"])
        put, send, reply = (1000 * (end - begin) for begin, end in pairwise(times))
        stages = {"S3 put": put, "SQS send": send, "worker and reply": reply}
        return {**stages, "calls": put + send + reply}


def chained(number: int) -> str:
    """Write the request of one link."""
    body = {"v": 1, "job": f"chain{number}", "key": f"images/chain{number}", "reply_to": CHAIN}
    return json.dumps({**body, "sent_at": time.time(), "top": 5, "file_name": "photo.jpg"})


def middle(values: list[dict[str, float]]) -> dict[str, float]:
    """The median of several runs, name by name."""
    return {name: median([one[name] for one in values]) for name in values[0]}


def ratios(rounds: list[Round]) -> dict[str, float]:
    """The figures that count: ratios within a run, then the median of the runs."""

    def over(name: str) -> float:
        return median([one.cpu_ms[name] / one.cpu_ms["visionfleet"] for one in rounds])

    overhead = [one.latency_ms["upload to answer"] - one.latency_ms["calls"] for one in rounds]
    return {
        "uploads_per_cpu_second_over_flask": over("flask"),
        "uploads_per_cpu_second_over_boto3_limit": over("boto3 plain"),
        "uploads_per_cpu_second_over_tuned_boto3": over("boto3 tuned"),
        "uploads_per_cpu_second_over_bare_handler": over("bare handler"),
        "median_overhead_ms": median(overhead),
    }


def report(rounds: list[Round], arguments: argparse.Namespace) -> None:
    """Print, plot and save."""
    cpu = middle([one.cpu_ms for one in rounds])
    latency = middle([one.latency_ms for one in rounds])
    rows = [(name, f"{ms:.2f}", f"{1000 / ms:.0f}") for name, ms in cpu.items()]
    show("web", ("contender", "CPU ms/upload", "uploads/CPU second"), rows)
    show("one client, idle queues", ("stage", "ms"), [(n, f"{v:.1f}") for n, v in latency.items()])
    found = ratios(rounds)
    for name, value in found.items():
        print(f"{name}: {value:.2f}")
    figures: dict[str, object] = {
        **found,
        **vars(arguments),
        "image_bytes": len(photo()),
        "cpu_ms": cpu,
        "latency_ms": latency,
        "rounds": [asdict(one) for one in rounds],
    }
    print(f"written: {save('web', figures)}")
    plot(cpu)


def plot(cpu: dict[str, float]) -> None:
    """Draw the CPU time per upload of each."""
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(6, 3.5))
    bars = axis.bar(list(cpu), list(cpu.values()))
    axis.bar_label(bars, fmt="%.2f")
    axis.set_ylabel("CPU ms per upload")
    figure.tight_layout()
    figure.savefig(RESULTS / "web.png", dpi=100)


if __name__ == "__main__":
    main()
