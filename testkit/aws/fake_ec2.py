"""A stateful EC2 in memory that behaves as the real one does, and as badly.

It honours client tokens, gives fewer instances than were wished for, lists new ones late, boots
slowly, runs out of machines, throttles, and spoils a whole batch of terminations for one bad id.
"""

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError, ReadTimeoutError

from testkit.aws.fakes import Clock, Hook, no_hook, refusal

SIGNATURE_SECONDS = 300.0
ALIVE = {"pending", "running", "shutting-down", "stopping", "stopped"}


@dataclass
class FakeInstance:
    """One instance. `listed_at` is when it appears in lists, `known_at` when its id is known."""

    id: str
    launched_at: float
    running_at: float
    listed_at: float
    tags: dict[str, str]
    instance_type: str
    subnet: str
    spot: bool = False
    gone_at: float | None = None  # from when on it is terminated
    stopped: bool = False
    protected: bool = False

    def state(self, now: float) -> str:
        if self.gone_at is not None:
            return "terminated" if now >= self.gone_at else "shutting-down"
        if self.stopped:
            return "stopped"
        return "running" if now >= self.running_at else "pending"


@dataclass
class Region:
    """What the clients of one EC2 share. `room` is what an offering still has; else unlimited.
    `refused` has the codes of offerings that are never launched from, `spot_refused` that of the
    whole spot market. With `throttles` it takes as many calls to launch as AWS does.
    """

    clock: Clock
    boot_seconds: float = 20.0
    list_seconds: float = 0.0
    shut_down_seconds: float = 10.0
    room: dict[tuple[str, str], int] = field(default_factory=dict)
    refused: dict[tuple[str, str], str] = field(default_factory=dict)
    spot_refused: str = ""
    throttles: bool = False
    bucket: tuple[float, float] = (5.0, 0.0)  # tokens, and when there were so many
    templates: set[str] = field(default_factory=lambda: {"workers"})
    machines: dict[str, FakeInstance] = field(default_factory=dict)
    tokens: dict[str, tuple[dict[str, Any], list[str]]] = field(default_factory=dict)
    faults: dict[str, deque[ClientError | ReadTimeoutError]] = field(default_factory=dict)
    lost_answers: Counter[str] = field(default_factory=Counter)
    calls: list[str] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)

    def alive(self) -> list[FakeInstance]:
        """List the instances that exist, whatever a list says."""
        now = self.clock()
        return [m for m in self.machines.values() if m.state(now) in ALIVE]

    def throttled(self) -> bool:
        """Take a token of RunInstances: a bucket of five, and two more a second."""
        now, (tokens, at) = self.clock(), self.bucket
        tokens = min(5.0, tokens + 2.0 * (now - at))
        self.bucket = (max(0.0, tokens - 1), now)
        return self.throttles and tokens < 1

    def fail(self, operation: str, *codes: str, status: int = 400) -> None:
        """Let the next calls of an operation fail."""
        queue = self.faults.setdefault(operation, deque())
        queue.extend(refusal(code, operation, status) for code in codes)


class FakeEc2:
    """A client; `hook` is called before each call and after it took effect."""

    def __init__(self, region: Region, hook: Hook = no_hook) -> None:
        self._region, self._hook = region, hook

    def describe_launch_template_versions(self, **request: Any) -> dict[str, Any]:
        self._begin("describe_launch_template_versions")
        template = request.get("LaunchTemplateName") or request.get("LaunchTemplateId")
        if template not in self._region.templates:
            code = "InvalidLaunchTemplateName.NotFoundException"
            raise refusal(code, "DescribeLaunchTemplateVersions")
        return {"LaunchTemplateVersions": [{}]}

    def run_instances(self, **request: Any) -> dict[str, Any]:
        self._begin("run_instances")
        if self._region.throttled():
            raise refusal("RequestLimitExceeded", "RunInstances", 503)
        offering = request.get("InstanceType", ""), request.get("SubnetId", "")
        if offering in self._region.refused:
            raise refusal(self._region.refused[offering], "RunInstances")
        if request.pop("DryRun", False):
            raise refusal("DryRunOperation", "RunInstances", 412)
        self._region.requests.append(request)
        token = request["ClientToken"]
        ids = self._repeat(token, request) if token in self._region.tokens else self._run(request)
        self._finish("run_instances")
        return {"Instances": [{"InstanceId": one} for one in ids]}

    def terminate_instances(self, **request: Any) -> dict[str, Any]:
        ids: list[str] = request["InstanceIds"]
        self._begin("terminate_instances")
        now, machines = self._region.clock(), self._region.machines
        unknown = [one for one in ids if one not in machines or machines[one].listed_at > now]
        if unknown:
            raise refusal("InvalidInstanceID.NotFound", "TerminateInstances", text=str(unknown))
        if any(machines[one].protected for one in ids):
            raise refusal("OperationNotPermitted", "TerminateInstances")
        for one in ids:
            self._region.ended.append(one)
            if machines[one].gone_at is None:
                machines[one].gone_at = now + self._region.shut_down_seconds
        self._finish("terminate_instances")
        return {}

    def get_paginator(self, operation: str) -> "FakeEc2":
        assert operation == "describe_instances"
        return self

    def paginate(self, **request: Any) -> Iterator[dict[str, Any]]:
        self._begin("describe_instances")
        now = self._region.clock()
        listed = [m for m in self._region.machines.values() if m.listed_at <= now]
        found = [_described(m, now) for m in listed if _matches(m, request["Filters"], now)]
        for start in range(0, max(1, len(found)), 5):  # small pages: there is more than one
            yield {"Reservations": [{"Instances": found[start : start + 5]}]}

    def _begin(self, operation: str) -> None:
        signed_at = self._region.clock()
        self._hook(operation)
        self._region.calls.append(operation)
        if self._region.clock() - signed_at > SIGNATURE_SECONDS:
            raise refusal("RequestExpired", operation)
        faults = self._region.faults.get(operation)
        if faults:
            raise faults.popleft()

    def _finish(self, operation: str) -> None:
        self._hook(f"{operation} done")
        if self._region.lost_answers[operation] > 0:
            self._region.lost_answers[operation] -= 1
            raise ReadTimeoutError(endpoint_url="https://ec2.example")

    def _repeat(self, token: str, request: dict[str, Any]) -> list[str]:
        first, ids = self._region.tokens[token]
        if first != request:
            raise refusal("IdempotentParameterMismatch", "RunInstances")
        now = self._region.clock()
        if all(self._region.machines[one].state(now) == "terminated" for one in ids):
            raise refusal("IdempotentInstanceTerminated", "RunInstances")
        return ids

    def _run(self, request: dict[str, Any]) -> list[str]:
        region = self._region
        if "InstanceMarketOptions" in request and (code := region.spot_refused):
            raise refusal(code, "RunInstances", 500 if code.startswith("Insuff") else 400)
        offering = request.get("InstanceType", ""), request.get("SubnetId", "")
        count = min(request["MaxCount"], region.room.get(offering, 1_000_000))
        if count < request["MinCount"]:
            raise refusal("InsufficientInstanceCapacity", "RunInstances", 500)
        if offering in region.room:
            region.room[offering] -= count
        ids = [self._start(request, *offering) for _ in range(count)]
        region.tokens[request["ClientToken"]] = (request, ids)
        return ids

    def _start(self, request: dict[str, Any], instance_type: str, subnet: str) -> str:
        region = self._region
        now = region.clock()
        name = f"i-{len(region.machines):017x}"
        (tags,) = (
            spec["Tags"]
            for spec in request["TagSpecifications"]
            if spec["ResourceType"] == "instance"
        )
        region.machines[name] = FakeInstance(
            id=name,
            launched_at=now,
            running_at=now + region.boot_seconds,
            listed_at=now + region.list_seconds,
            tags={tag["Key"]: tag["Value"] for tag in tags},
            instance_type=instance_type,
            subnet=subnet,
            spot="InstanceMarketOptions" in request,
        )
        return name


def _matches(machine: FakeInstance, filters: Iterable[dict[str, Any]], now: float) -> bool:
    for one in filters:
        name = one["Name"]
        if name == "instance-state-name":
            value: str | None = machine.state(now)
        else:
            assert name.startswith("tag:"), f"filter {name}"
            value = machine.tags.get(name.removeprefix("tag:"))
        if value not in one["Values"]:
            return False
    return True


def _described(machine: FakeInstance, now: float) -> dict[str, Any]:
    lifecycle = {"InstanceLifecycle": "spot"} if machine.spot else {}
    return {
        **lifecycle,
        "InstanceId": machine.id,
        "State": {"Name": machine.state(now)},
        "LaunchTime": datetime.fromtimestamp(int(machine.launched_at), UTC),
        "Tags": [{"Key": key, "Value": value} for key, value in machine.tags.items()],
    }
