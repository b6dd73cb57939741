"""The CloudFormation stack, created at an embedded AWS, and lookups in it."""

import base64
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import yaml
from cfnlint.decode import decode

from testkit import ROOT
from testkit.aws.embedded import CREDENTIALS, Cloud, connect
from testkit.processes.daemons import started_module
from testkit.processes.ports import accepts, free_port
from testkit.processes.waiting import wait_until

TEMPLATE = ROOT / "cloudformation" / "visionfleet.yaml"
IMAGE = "ami-12c6146b"
KMS_KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
DAEMONS = ("Web", "Scaler", "Worker")


def template() -> dict[str, Any]:
    """Read the template, with its functions in their long form."""
    found, faults = decode(str(TEMPLATE))
    assert not faults
    return dict(json.loads(json.dumps(found)))


def resources() -> dict[str, Any]:
    return dict(template()["Resources"])


def properties(name: str) -> dict[str, Any]:
    return dict(resources()[name]["Properties"])


def parameters() -> dict[str, Any]:
    return dict(template()["Parameters"])


@dataclass(frozen=True)
class CloudStack:
    """A stack that was created. It also gives the AwsFacts of iam_requests."""

    aws: Cloud
    outputs: Mapping[str, str]
    resources: Mapping[str, str]

    def client(self, service: str) -> Any:
        return client(self.aws.endpoint_url, service)

    def policy(self, *logical_ids: str) -> dict[str, Any]:
        """Read policy documents as one, with all ARNs in it."""
        documents = [self._document(self.resources[name]) for name in logical_ids]
        return {"Statement": [one for document in documents for one in document["Statement"]]}

    def policies_of(self, role: str) -> dict[str, Any]:
        """Read what a role may do, by all policies that are attached to it."""
        name = self.resources[role]
        found = self.client("iam").list_attached_role_policies(RoleName=name)["AttachedPolicies"]
        documents = [self._document(each["PolicyArn"]) for each in found]
        return {"Statement": [one for document in documents for one in document["Statement"]]}

    def _document(self, arn: str) -> dict[str, Any]:
        iam = self.client("iam")
        version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        found = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]
        return dict(found["Document"])

    def launch_data(self, logical_id: str) -> dict[str, Any]:
        """Read the newest version of a launch template."""
        return dict(self.template(self.resources[logical_id])[1])

    def user_data(self, logical_id: str) -> str:
        return base64.b64decode(self.launch_data(logical_id)["UserData"]).decode()

    def drop_in(self, logical_id: str) -> dict[str, Any]:
        """Read the settings that a host gets with its user data."""
        return dict(yaml.safe_load(self.user_data(logical_id))["visionfleet"])

    def template(self, name: str) -> tuple[str, Mapping[str, Any]]:
        key = "LaunchTemplateId" if name.startswith("lt-") else "LaunchTemplateName"
        (found,) = self.client("ec2").describe_launch_template_versions(
            Versions=["$Latest"], **{key: name}
        )["LaunchTemplateVersions"]
        return found["LaunchTemplateId"], found["LaunchTemplateData"]

    def vpc(self, subnet: str) -> str:
        (found,) = self.client("ec2").describe_subnets(SubnetIds=[subnet])["Subnets"]
        return str(found["VpcId"])

    def role(self, profile_arn: str) -> str:
        name = profile_arn.rsplit("/", 1)[-1]
        found = self.client("iam").get_instance_profile(InstanceProfileName=name)
        return str(found["InstanceProfile"]["Roles"][0]["Arn"])

    def tags(self, instance: str) -> Mapping[str, str]:
        found = self.client("ec2").describe_instances(InstanceIds=[instance])
        (described,) = found["Reservations"][0]["Instances"]
        return {tag["Key"]: tag["Value"] for tag in described["Tags"]}


def client(endpoint_url: str, service: str) -> Any:
    return boto3.client(  # type: ignore[call-overload]
        service,
        endpoint_url=endpoint_url,
        region_name="us-east-1",
        **{name.lower(): value for name, value in CREDENTIALS.items()},
    )


@contextmanager
def cloud_stack(folder: Path, **over: str) -> Iterator[CloudStack]:
    """Run an embedded AWS with the stack in it."""
    port = free_port()
    module = "testkit.aws.cloudformation_server"
    with started_module(module, "--port", str(port), log=folder / "aws.log") as process:
        process.wait_for_output("embedded AWS at", seconds=60)
        wait_until(lambda: accepts(port), 30, process.tail)
        yield create(connect(f"http://127.0.0.1:{port}"), **over)


def certificate(aws: Cloud) -> str:
    """Have a certificate at AWS; the embedded one does not look into it."""
    made = client(aws.endpoint_url, "iam").upload_server_certificate(
        ServerCertificateName="vision", CertificateBody="-", PrivateKey="-"
    )
    return str(made["ServerCertificateMetadata"]["Arn"])


def create(aws: Cloud, **over: str) -> CloudStack:
    """Create a stack in the default network, and wait until it is there."""
    given = {**_defaults(aws), **over}
    name, formation = given["Name"], client(aws.endpoint_url, "cloudformation")
    formation.create_stack(
        StackName=name,
        TemplateBody=TEMPLATE.read_text(),
        Capabilities=["CAPABILITY_IAM"],
        Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in given.items()],
    )
    waiter = formation.get_waiter("stack_create_complete")
    waiter.wait(StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    (made,) = formation.describe_stacks(StackName=name)["Stacks"]
    listed = formation.list_stack_resources(StackName=name)["StackResourceSummaries"]
    return CloudStack(
        aws,
        {output["OutputKey"]: output["OutputValue"] for output in made["Outputs"]},
        {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in listed},
    )


def _defaults(aws: Cloud) -> dict[str, str]:
    """Give the parameters that have no default."""
    ec2 = client(aws.endpoint_url, "ec2")
    (vpc,) = ec2.describe_vpcs()["Vpcs"]
    subnets = sorted(subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"])[:2]
    return {
        "Name": "visionfleet",
        "ImageId": IMAGE,
        "VpcId": vpc["VpcId"],
        "SubnetIds": ",".join(subnets),
        "ClientCidr": "203.0.113.0/24",
        # The embedded AWS does not split the default of a list.
        "WorkerInstanceTypes": "c7i.large,c6i.large",
    }


def dumped(settings: Mapping[str, Any], *over: Mapping[str, Any]) -> str:
    """Merge settings of a test over those of the stack, as drop-ins are merged."""
    merged: dict[str, Any] = json.loads(json.dumps(settings))
    for each in over:
        for section, values in each.items():
            if isinstance(values, Mapping):
                merged[section] = {**merged.get(section, {}), **values}
            else:
                merged[section] = values
    return yaml.safe_dump(merged)
