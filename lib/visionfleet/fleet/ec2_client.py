"""The EC2 client: launches, lists and terminates instances, and wraps boto's errors."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from visionfleet.aws.errors import wrapped_errors
from visionfleet.contract.messages import Launch
from visionfleet.errors import GiveUp, NotFound
from visionfleet.fleet.launch_ledger import Ec2Instance, token

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import InstanceTypeDef

DEPLOYMENT_TAG = "visionfleet:deployment"
ROLE_TAG, ROLE = "visionfleet:role", "worker"
LAUNCH_TAG = "visionfleet:launch"
_ALIVE = ("pending", "running", "shutting-down", "stopping", "stopped")
# Below EC2's maximum of 1000, as one bad id fails its whole batch.
_BATCH = 100


class Instances:
    """The client must not retry by itself: the ledger is written before each try, and the circuit
    breaker decides when.
    """

    def __init__(self, client: "EC2Client", deployment: str) -> None:
        self._client = client
        self._deployment = deployment

    def find_template(self, template: str, version: str) -> None:
        """Raises NotFound if there is none."""
        with wrapped_errors(f"launch template {template}"):
            answer = self._client.describe_launch_template_versions(
                **_named(template),  # type: ignore[arg-type]
                Versions=[version],
            )
            answer["LaunchTemplateVersions"]

    def rehearse(self, launch: Launch) -> None:
        """A dry run of a launch; raises GiveUp or TryLater."""
        try:
            with wrapped_errors("rehearse a launch"):
                self._client.run_instances(**self._request(launch), DryRun=True)["Instances"]
        except GiveUp as error:
            if "(DryRunOperation)" not in str(error):  # means that the launch would work
                raise

    def run(self, launch: Launch) -> tuple[str, ...]:
        """Launch 1 to `count` instances, idempotent by the client token.

        Raises NoCapacity, AlreadyExists, another GiveUp, or TryLater: then the outcome is unknown.
        """
        with wrapped_errors(f"launch {token(launch)}"):
            answer = self._client.run_instances(**self._request(launch))
            return tuple(instance["InstanceId"] for instance in answer["Instances"])

    def describe(self, terminated: bool) -> list[Ec2Instance]:
        """List the instances, optionally with those terminated within the last hour."""
        states = [*_ALIVE, "terminated"] if terminated else list(_ALIVE)
        with wrapped_errors("list instances"):
            pages = self._client.get_paginator("describe_instances").paginate(
                Filters=[
                    {"Name": f"tag:{DEPLOYMENT_TAG}", "Values": [self._deployment]},
                    {"Name": f"tag:{ROLE_TAG}", "Values": [ROLE]},
                    {"Name": "instance-state-name", "Values": states},
                ]
            )
            return [
                _instance(described)
                for page in pages
                for reservation in page["Reservations"]
                for described in reservation["Instances"]
            ]

    def terminate(self, ids: Sequence[str]) -> dict[str, str]:
        """The reason for each refused instance; missing ones are ignored. Raises TryLater."""
        refused: dict[str, str] = {}
        for start in range(0, len(ids), _BATCH):
            refused |= self._terminate_batch(ids[start : start + _BATCH])
        return refused

    def _terminate_batch(self, ids: Sequence[str]) -> dict[str, str]:
        try:
            with wrapped_errors(f"terminate {', '.join(ids)}"):
                self._client.terminate_instances(InstanceIds=list(ids))
        except GiveUp as error:
            if len(ids) == 1:
                return {} if isinstance(error, NotFound) else {ids[0]: str(error)}
            return {k: v for one in ids for k, v in self._terminate_batch([one]).items()}
        return {}

    def _request(self, launch: Launch) -> dict[str, Any]:
        """The launch request: identical for each try, as the client token demands."""
        request: dict[str, Any] = {
            "MinCount": 1,
            "MaxCount": launch.count,
            "ClientToken": token(launch),
            "LaunchTemplate": {**_named(launch.template), "Version": launch.version},
            # A worker that shuts its machine down must not leave a stopped instance behind.
            "InstanceInitiatedShutdownBehavior": "terminate",
            "MetadataOptions": {"HttpTokens": "required", "InstanceMetadataTags": "enabled"},
            "TagSpecifications": [
                {"ResourceType": kind, "Tags": self._tags(launch)}
                for kind in ("instance", "volume")
            ],
        }
        if launch.instance_type is not None:
            request["InstanceType"] = launch.instance_type
        if launch.subnet is not None:
            request["SubnetId"] = launch.subnet
        if launch.spot:
            options = {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"}
            request["InstanceMarketOptions"] = {"MarketType": "spot", "SpotOptions": options}
        return request

    def _tags(self, launch: Launch) -> list[dict[str, str]]:
        tags = {
            "Name": f"{self._deployment}-worker",
            DEPLOYMENT_TAG: self._deployment,
            ROLE_TAG: ROLE,
            LAUNCH_TAG: token(launch),
        }
        return [{"Key": key, "Value": value} for key, value in tags.items()]


def _named(template: str) -> dict[str, str]:
    key = "LaunchTemplateId" if template.startswith("lt-") else "LaunchTemplateName"
    return {key: template}


def _instance(described: "InstanceTypeDef") -> Ec2Instance:
    tags = {tag["Key"]: tag["Value"] for tag in described.get("Tags", ())}
    return Ec2Instance(
        id=described["InstanceId"],
        state=described["State"]["Name"],
        launched_at=described["LaunchTime"].timestamp(),
        launch=tags.get(LAUNCH_TAG, ""),
        market="spot" if described.get("InstanceLifecycle") == "spot" else "on-demand",
        instance_type=described.get("InstanceType"),
    )
