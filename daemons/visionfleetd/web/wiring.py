"""Wires up a web process."""

import os
import socket
import time
from concurrent.futures import Executor
from functools import partial

from visionfleet.aws.clients import client_factory
from visionfleet.aws.outbox import Outbox
from visionfleet.aws.s3 import Store
from visionfleet.aws.sqs import Queue
from visionfleet.config import Config
from visionfleet.config.constraints import RECEIVE_MARGIN_SECONDS
from visionfleet.contract import documents, names
from visionfleet.web.http.auth import Access
from visionfleet.web.http.request_log import RequestLog
from visionfleet.web.jobs.batch_sender import BatchSender
from visionfleet.web.jobs.reply_queue import ReplyQueue
from visionfleet.web.jobs.service import Service
from visionfleet.web.jobs.submission import Submissions, Threads
from visionfleet.web.load.admission import Load
from visionfleet.web.load.fleet_load import FleetLoad, load
from visionfleet.web.load.memory_budget import MemoryBudget
from visionfleet.web.load.readiness import Readiness
from visionfleet.web.metrics import WebMetrics
from visionfleet.web.routes.context import Context

# Concurrent AWS calls: mostly waiting, and 32 store some hundred images a second.
THREADS = 32
# A reply queue counts as failing this long after its long poll should have returned.
POLL_GRACE_SECONDS = 15


class WebClients:
    def __init__(self, config: Config) -> None:
        clients = client_factory(config.aws)
        s3 = clients.client("s3", connections=THREADS)
        self._sqs = clients.sqs(THREADS + 1)
        long_poll = clients.sqs(1, config.queue.wait_seconds + RECEIVE_MARGIN_SECONDS)
        direct = clients.direct_s3(s3, config.storage.input_bucket, THREADS)
        self.uploads = Store(s3, config.storage.input_bucket, direct)
        self.results = Store(s3, config.storage.output_bucket)
        self._name = names.requests_queue(config.name)
        # SQS refuses the name of a deleted queue for 60 s, so each process has its own.
        process = f"{os.getpid()}-{os.urandom(4).hex()}"
        replies = names.replies_queue(config.name, socket.gethostname(), process)
        self.clock = clients.clock
        beats, key = time.monotonic, self._kms_key
        self.replies = ReplyQueue(self._sqs, long_poll, replies, self.clock, beats, key)

    def find_requests(self) -> None:
        self.requests = Queue(self._sqs, self._name)

    def _kms_key(self) -> str:
        return self.requests.kms_key()

    def submissions(self, config: Config) -> Submissions:
        sender = BatchSender(partial(Outbox(self._sqs).send_all, self._name))
        reply_to = self.replies.name
        return Submissions(config, self.uploads, self.results, sender, reply_to, self.clock)


def assembled(config: Config, clients: WebClients, pool: Executor, keys: Access | None) -> Context:
    """Create what the handlers share, once the request queue is found."""
    readiness = Readiness(config.queue.wait_seconds + POLL_GRACE_SECONDS, time.monotonic)
    metrics = WebMetrics()
    threads = Threads(pool, metrics)
    service = Service(clients.submissions(config), threads, readiness, os.urandom)

    def look() -> Load | None:
        counts, status = clients.requests.counts(), clients.results.read(documents.STATUS)
        return load(counts, status, context.config.scaler.service_seconds, clients.clock())

    context = Context(
        config=config,
        service=service,
        access=keys,
        budget=MemoryBudget(config.web.max_held_bytes),
        fleet_load=FleetLoad(look, pool, readiness),
        readiness=readiness,
        metrics=metrics,
        log=RequestLog(time.monotonic),
        machine=socket.gethostname(),
    )
    service.fault = context.fleet_load.fault
    metrics.requests_waiting.set_function(lambda: float(len(context.requests.open)))
    return context
