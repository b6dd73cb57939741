"""What a request to AWS is to IAM: actions, resources, and what AWS knows of the call beside.

Written after AWS' service authorisation reference. One request may need several permissions.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import parse_qs, unquote, urlsplit

from testkit.aws.iam_policies import Call

ACCOUNT, REGION = "123456789012", "us-east-1"
_WHO = re.compile(r"Credential=([^/,]+)/")
_FORM_FIELD = re.compile(r'name="([^"]+)"\r\n(?:[^\r]+\r\n)*\r\n([^\r]*)\r\n')


@dataclass(frozen=True)
class SignedRequest:
    """One request, and the status of its answer."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    status: int


class AwsFacts(Protocol):
    """What AWS knows and a request does not say."""

    def template(self, name: str) -> tuple[str, Mapping[str, Any]]:
        """Id and data of a launch template, by name or id."""

    def vpc(self, subnet: str) -> str:
        """The network of a subnet."""

    def role(self, profile_arn: str) -> str:
        """ARN of the role in an instance profile."""

    def tags(self, instance: str) -> Mapping[str, str]:
        """Tags of an instance."""


def signer(seen: SignedRequest) -> str:
    """Find the access key that signed a request, or the form in it; empty for none."""
    found = _WHO.search(seen.headers.get("authorization", ""))
    if found:
        return found[1]
    return _form(seen).get("x-amz-credential", "").partition("/")[0]


def calls(seen: SignedRequest, world: AwsFacts) -> list[Call]:
    """Translate one request."""
    target = seen.headers.get("x-amz-target", "")
    if target.startswith("AmazonSQS."):
        return list(_sqs(target.removeprefix("AmazonSQS."), json.loads(seen.body)))
    if target.endswith(".PutMetricData"):
        namespace = json.loads(seen.body)["Namespace"]
        return [Call("cloudwatch:PutMetricData", "*", {"cloudwatch:namespace": namespace})]
    if b"Action=" in seen.body and seen.path == "/":
        form = {key: values[0] for key, values in parse_qs(seen.body.decode()).items()}
        return list(_EC2[form["Action"]](form, world))
    return list(_s3(seen))


def _s3(seen: SignedRequest) -> Iterator[Call]:
    url = urlsplit(seen.path)
    bucket, _, key = unquote(url.path).lstrip("/").partition("/")
    whole, one = f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/{key}"
    if seen.method == "POST":
        yield Call("s3:PutObject", f"{whole}/{_form(seen)['key']}")
    elif not key:
        yield Call("s3:ListBucket", whole)
    elif seen.method == "PUT":
        yield Call("s3:PutObject", one)
        source = unquote(seen.headers.get("x-amz-copy-source", "")).lstrip("/")
        if source:
            yield Call("s3:GetObject", f"arn:aws:s3:::{source}")
        if "if-match" in seen.headers:
            yield Call("s3:GetObject", one)
    else:
        action = {"GET": "GetObject", "HEAD": "GetObject", "DELETE": "DeleteObject"}
        yield Call(f"s3:{action[seen.method]}", one)
    if key and seen.status == 404:  # without it the answer were 403
        yield Call("s3:ListBucket", whole)


def _form(seen: SignedRequest) -> dict[str, str]:
    return dict(_FORM_FIELD.findall(seen.body.decode("latin-1")))


def _sqs(action: str, body: Mapping[str, Any]) -> Iterator[Call]:
    if action == "ListQueues":
        yield Call("sqs:ListQueues", "*")
        return
    queue = body.get("SourceArn") or _queue_arn(body)
    yield Call(f"sqs:{action.removesuffix('Batch')}", queue)
    if action == "CreateQueue" and body.get("tags"):
        yield Call("sqs:TagQueue", queue)
    if action == "StartMessageMoveTask":
        yield Call("sqs:SendMessage", body["DestinationArn"])
    if action.endswith(("MessageMoveTask", "MessageMoveTasks")):
        for also in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes"):
            yield Call(f"sqs:{also}", queue)


def _queue_arn(body: Mapping[str, Any]) -> str:
    name = body.get("QueueName") or body["QueueUrl"].rsplit("/", 1)[-1]
    return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"


def _ec2(kind: str, name: str = "new") -> str:
    return f"arn:aws:ec2:{REGION}:{ACCOUNT}:{kind}/{name}"


def _describe(form: Mapping[str, str], _: AwsFacts) -> Iterator[Call]:
    yield Call(f"ec2:{form['Action']}", "*")


def _terminate(form: Mapping[str, str], world: AwsFacts) -> Iterator[Call]:
    for name in _members(form, "InstanceId"):
        tags = {f"aws:ResourceTag/{key}": value for key, value in world.tags(name).items()}
        yield Call("ec2:TerminateInstances", _ec2("instance", name), tags)


def _run(form: Mapping[str, str], world: AwsFacts) -> Iterator[Call]:
    """A launch is asked about for each thing that it uses or makes."""
    given = form.get("LaunchTemplate.LaunchTemplateId") or form["LaunchTemplate.LaunchTemplateName"]
    id_, data = world.template(given)
    template = {"ec2:LaunchTemplate": _ec2("launch-template", id_)}
    for kind in ("instance", "volume"):
        tags = {f"aws:RequestTag/{key}": value for key, value in _tags(form, kind).items()}
        yield Call("ec2:RunInstances", _ec2(kind), template | tags)
        if tags:
            yield Call("ec2:CreateTags", _ec2(kind), tags | {"ec2:CreateAction": "RunInstances"})
    image = form.get("ImageId") or data["ImageId"]
    named = template | {"ec2:IsLaunchTemplateResource": str("ImageId" not in form).lower()}
    yield Call("ec2:RunInstances", f"arn:aws:ec2:{REGION}::image/{image}", named)
    groups = _members(form, "SecurityGroupId")
    named = template | {"ec2:IsLaunchTemplateResource": str(not groups).lower()}
    for group in groups or data.get("SecurityGroupIds", ()):
        yield Call("ec2:RunInstances", _ec2("security-group", group), named)
    subnet = form.get("SubnetId") or data["SubnetId"]
    network = template | {"ec2:Vpc": _ec2("vpc", world.vpc(subnet))}
    yield Call("ec2:RunInstances", _ec2("subnet", subnet), network)
    yield Call("ec2:RunInstances", _ec2("network-interface"), network)
    yield Call("ec2:RunInstances", _ec2("launch-template", id_), template)
    if "KeyName" in data:
        yield Call("ec2:RunInstances", _ec2("key-pair", data["KeyName"]), template)
    if form.get("InstanceMarketOptions.MarketType") == "spot":
        yield Call("ec2:RunInstances", _ec2("spot-instances-request"))
    if profile := data.get("IamInstanceProfile"):
        passed = {"iam:PassedToService": "ec2.amazonaws.com"}
        yield Call("iam:PassRole", world.role(profile["Arn"]), passed)


def _members(form: Mapping[str, str], name: str) -> list[str]:
    return [form[key] for key in sorted(form) if re.fullmatch(rf"{name}\.\d+", key)]


def _tags(form: Mapping[str, str], kind: str) -> dict[str, str]:
    """Read the tags that a launch gives to one kind of resource."""
    for key, value in form.items():
        found = re.fullmatch(r"(TagSpecification\.\d+)\.ResourceType", key)
        if found and value == kind:
            pairs = re.compile(rf"{re.escape(found[1])}\.Tag\.(\d+)\.Key")
            numbers = [match[1] for name in form if (match := pairs.fullmatch(name))]
            start = f"{found[1]}.Tag"
            return {form[f"{start}.{n}.Key"]: form[f"{start}.{n}.Value"] for n in numbers}
    return {}


_EC2: dict[str, Callable[[Mapping[str, str], AwsFacts], Iterator[Call]]] = {
    "DescribeInstances": _describe,
    "DescribeLaunchTemplateVersions": _describe,
    "RunInstances": _run,
    "TerminateInstances": _terminate,
}
