"""Every call of every edge, broken off at every phase: what comes out is one of our errors."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from testkit.aws.breaking_proxy import PHASES, BreakingProxy, breaking_proxy
from testkit.aws.embedded import BUCKETS, NAME, Cloud, add_template, cloud, ec2_client, emptied
from visionfleet.aws import provisioning
from visionfleet.aws.clients import ClientFactory
from visionfleet.aws.cloudwatch import publish_at_maximum
from visionfleet.aws.imds import Metadata, instance_id
from visionfleet.aws.outbox import Outbox
from visionfleet.aws.reply_queues import ReplyQueues
from visionfleet.aws.s3 import Store
from visionfleet.aws.sqs import Queue
from visionfleet.aws.sqs_move_tasks import MoveTasks
from visionfleet.contract.messages import Launch
from visionfleet.errors import VisionfleetError
from visionfleet.fleet.ec2_client import Instances

LAUNCH = Launch(
    decision="d",
    attempt=0,
    count=1,
    template="workers",
    version="1",
    spot=False,
    asker="me",
    asked_at=0.0,
)
# A delay is not a fault of its own, and each takes its seconds: four calls stand for all.
STALLED = {"get", "receive", "get directly", "receive directly"}


class Edges:
    """All the edges, behind a proxy, with something there to ask for."""

    def __init__(self, aws: Cloud, proxy: BreakingProxy) -> None:
        factory = ClientFactory("us-east-1", proxy.url, 0.5, 1, placeholder_credentials=True)
        s3, sqs = factory.client("s3"), factory.client("sqs")
        self.sqs = sqs
        self.direct = Store(s3, BUCKETS[0], factory.direct_s3(s3, BUCKETS[0], 2))
        self.store = Store(s3, BUCKETS[0])
        self.queue, self.outbox = Queue(sqs, f"{NAME}-requests"), Outbox(sqs)
        straight = factory.sqs(2)
        self.straight, self.straight_out = Queue(straight, f"{NAME}-requests"), Outbox(straight)
        self.replies = ReplyQueues(sqs, f"{NAME}-")
        self.moves = MoveTasks(sqs, "arn:aws:sqs:us-east-1:1:a", "arn:aws:sqs:us-east-1:1:b")
        self.instances = Instances(factory.client("ec2"), NAME)
        self.cloudwatch = factory.client("cloudwatch")
        self.imds = proxy.url
        self.store.put("there", b"x" * 1000)
        self.outbox.send(f"{NAME}-requests", "body")
        self.straight_out.send(f"{NAME}-requests", "body")


# urllib3 leaves the socket of a broken exchange to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

Call = Callable[[Edges], object]
CALLS: dict[str, Call] = {
    "verify bucket": lambda at: at.store.verify(),
    "put": lambda at: at.store.put("new", b"x" * 100),
    "put directly": lambda at: at.direct.put("new", b"x" * 100),
    "put if": lambda at: at.store.put_json_if("there", "{}", '"other"'),
    "get": lambda at: at.store.get("there"),
    "get directly": lambda at: at.direct.get("there"),
    "find": lambda at: at.store.find_tagged("there"),
    "get start": lambda at: at.store.get_start("there", 10),
    "stat": lambda at: at.store.stat("there"),
    "copy": lambda at: at.store.copy(("there", '"other"'), "copy", "image/png", {}),
    "list": lambda at: at.store.listed(""),
    "delete": lambda at: at.store.delete("nobody's"),
    "find queue": lambda at: Queue(at.sqs, f"{NAME}-requests"),
    "send": lambda at: at.outbox.send(f"{NAME}-requests", "body"),
    "send all": lambda at: raised(at.outbox.send_all(f"{NAME}-requests", ["a", "b"])),
    "send directly": lambda at: at.straight_out.send(f"{NAME}-requests", "body"),
    "send all directly": lambda at: raised(at.straight_out.send_all(f"{NAME}-requests", ["a"])),
    "receive directly": lambda at: at.straight.receive(0),
    "extend directly": lambda at: raised(at.straight.extend(["receipt"], 10)),
    "delete directly": lambda at: raised(at.straight.delete(["receipt"])),
    "receive": lambda at: at.queue.receive(0),
    "inspect": lambda at: at.queue.inspect(0, 1),
    "extend": lambda at: raised(at.queue.extend(["receipt"], 10)),
    "delete message": lambda at: raised(at.queue.delete(["receipt"])),
    "counts": lambda at: at.queue.counts(),
    "list queues": lambda at: at.replies.urls(),
    "tags": lambda at: at.replies.tags(at.queue.url),
    "remove queue": lambda at: at.replies.remove(at.queue.url + "-none"),
    "make reply queue": lambda at: provisioning.make_reply_queue(at.sqs, "vf-replies-x", {}),
    "renew reply queue": lambda at: provisioning.renew_reply_queue(
        at.sqs, at.queue.url, {"a": "b"}
    ),
    "latest move": lambda at: at.moves.latest(),
    "find template": lambda at: at.instances.find_template("workers", "1"),
    "rehearse launch": lambda at: at.instances.rehearse(LAUNCH),
    "run": lambda at: at.instances.run(LAUNCH),
    "describe": lambda at: at.instances.describe(terminated=False),
    "terminate": lambda at: at.instances.terminate(["i-0123456789abcdef0"]),
    "publish": lambda at: publish_at_maximum(at.cloudwatch, NAME, True),
    "instance": lambda at: instance_id(Metadata(at.imds, time.monotonic)),
}
# Where nothing of an answer is needed but its status, any answer with that status will do.
STATUS_ALONE = {"verify bucket", "delete", "remove queue", "renew reply queue", "publish"}
STATUS_ALONE |= {"copy", "terminate", "make reply queue"}
# What has taken effect, and was told so as far as that matters.
DONE = {("put directly", "cut body"), ("stat", "cut body")}


def raised(failed: dict[str, VisionfleetError]) -> None:
    for error in failed.values():
        raise error


# What breaks here is between us and an emulator: one will do.
@pytest.fixture(scope="module")
def running_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with cloud(tmp_path_factory.mktemp("aws")) as made:
        yield made


@pytest.fixture(scope="module")
def proxy(running_aws: Cloud) -> Iterator[BreakingProxy]:
    emptied(running_aws)
    add_template(ec2_client(running_aws))
    with breaking_proxy(running_aws.endpoint_url) as made:
        yield made


@pytest.fixture(scope="module")
def edges(running_aws: Cloud, proxy: BreakingProxy) -> Edges:
    return Edges(running_aws, proxy)


@pytest.mark.parametrize("name", CALLS)
def test_broken_call_raises_one_of_our_errors(
    edges: Edges, proxy: BreakingProxy, name: str
) -> None:
    taken = set()
    for phase in PHASES:
        if phase != "stall" or name in STALLED:
            proxy.phase = phase
            with suppress(VisionfleetError):
                CALLS[name](edges)
                taken.add((name, phase))
    proxy.phase = None
    assert name in STATUS_ALONE or taken <= DONE


def test_every_call_succeeds_when_nothing_is_broken(edges: Edges) -> None:
    needed = ["get", "get directly", "find", "stat", "list", "receive", "counts", "describe"]
    needed.append("receive directly")
    for name in needed:
        assert CALLS[name](edges) is not None
