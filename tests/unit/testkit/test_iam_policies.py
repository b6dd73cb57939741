"""The evaluation of IAM policies, and of the requests that they are asked about."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import pytest

from testkit.aws.iam_policies import Call, allowed, unused
from testkit.aws.iam_requests import SignedRequest, calls, signer
from testkit.aws.kms_requests import key_calls

BUCKET = "arn:aws:s3:::b"
QUEUES = "arn:aws:sqs:us-east-1:123456789012:"


def policy(**over: Any) -> dict[str, Any]:
    statement = {"Sid": "One", "Effect": "Allow", "Action": "s3:GetObject"}
    return {"Statement": [{**statement, "Resource": f"{BUCKET}/images/*", **over}]}


@pytest.mark.parametrize(
    ("over", "call", "answer"),
    [
        ({}, Call("s3:GetObject", f"{BUCKET}/images/a/b"), True),
        ({}, Call("s3:GetObject", f"{BUCKET}/results/a"), False),
        ({}, Call("s3:PutObject", f"{BUCKET}/images/a"), False),
        (
            {"Action": ["s3:PutObject", "s3:GetObject"]},
            Call("s3:GetObject", f"{BUCKET}/images/a"),
            True,
        ),
        ({"Resource": f"{BUCKET}/[ab]"}, Call("s3:GetObject", f"{BUCKET}/a"), False),
        ({"Resource": f"{BUCKET}/[ab]"}, Call("s3:GetObject", f"{BUCKET}/[ab]"), True),
    ],
)
def test_iam_statement_needs_action_and_resource(
    over: dict[str, Any], call: Call, answer: bool
) -> None:
    assert allowed(policy(**over), call) is answer


@pytest.mark.parametrize(
    ("context", "answer"),
    [({"k": "v"}, True), ({"k": "w"}, True), ({"k": "x"}, False), ({}, False)],
)
def test_iam_condition_needs_its_key(context: dict[str, str], answer: bool) -> None:
    held = policy(Condition={"StringEquals": {"k": ["v", "w"]}})
    assert allowed(held, Call("s3:GetObject", f"{BUCKET}/images/a", context)) is answer


@pytest.mark.parametrize(
    ("via", "answer"),
    [
        ("s3.cn-north-1.amazonaws.com.cn", True),
        ("s3.cn-north-1.amazonaws.com", True),
        ("s3.us-east-1.amazonaws.com", False),
        ("", False),
    ],
)
def test_iam_condition_may_have_wildcards(via: str, answer: bool) -> None:
    held = policy(Condition={"StringLike": {"kms:ViaService": "s3.cn-north-1.amazonaws.com*"}})
    context = {"kms:ViaService": via} if via else {}
    assert allowed(held, Call("s3:GetObject", f"{BUCKET}/images/a", context)) is answer


@pytest.mark.parametrize(
    "over",
    [{"Effect": "Deny"}, {"NotAction": "x"}, {"Condition": {"DateLessThan": {"k": "v"}}}],
    ids=["deny", "not action", "another condition"],
)
def test_unsupported_iam_elements_are_errors(over: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not understood"):
        allowed(policy(**over), Call("s3:GetObject", f"{BUCKET}/images/a"))


def test_unused_iam_action_and_resource_pairs_are_found() -> None:
    wide = policy(Action=["s3:GetObject", "s3:PutObject"], Resource=["a", "b"])
    seen = [Call("s3:GetObject", "a"), Call("s3:PutObject", "a"), Call("s3:GetObject", "b")]
    assert unused(wide, seen) == ["One: s3:PutObject on b"]
    assert unused(wide, [*seen, Call("s3:PutObject", "b")]) == []


def test_s3_and_sqs_ask_kms_in_the_caller_s_name() -> None:
    asked = (
        Call("s3:PutObject", f"{BUCKET}/a"),
        Call("s3:ListBucket", BUCKET),
        Call("sqs:SendMessage", f"{QUEUES}q"),
        Call("sqs:DeleteMessage", f"{QUEUES}q"),
    )
    told = [(call.action, call.context["kms:ViaService"]) for call in key_calls(asked, "key")]
    sqs = "sqs.us-east-1.amazonaws.com"
    assert told == [
        ("kms:GenerateDataKey", "s3.us-east-1.amazonaws.com"),
        *(("kms:GenerateDataKey", sqs), ("kms:Decrypt", sqs)),
    ]


class Known:
    """A world with one launch template, in one network."""

    def template(self, name: str) -> tuple[str, Mapping[str, Any]]:
        return "lt-1", {"ImageId": "ami-1", "SecurityGroupIds": ["sg-1"], "KeyName": "key"} | {
            "IamInstanceProfile": {"Arn": "profile"}
        }

    def vpc(self, subnet: str) -> str:
        return f"vpc-of-{subnet}"

    def role(self, profile_arn: str) -> str:
        return f"role-of-{profile_arn}"

    def tags(self, instance: str) -> Mapping[str, str]:
        return {"owner": instance}


def translated(
    method: str,
    path: str,
    body: bytes = b"",
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> list[str]:
    named = {name.replace("_", "-"): value for name, value in (headers or {}).items()}
    return [str(call) for call in calls(SignedRequest(method, path, named, body, status), Known())]


@pytest.mark.parametrize(
    ("method", "path", "status", "headers", "answer"),
    [
        ("HEAD", "/b", 200, {}, ["ListBucket b"]),
        ("GET", "/b?list-type=2&prefix=x", 200, {}, ["ListBucket b"]),
        ("GET", "/b/a%20b/c", 200, {}, ["GetObject b/a b/c"]),
        ("HEAD", "/b/k", 404, {}, ["GetObject b/k", "ListBucket b"]),
        ("PUT", "/b/k", 200, {}, ["PutObject b/k"]),
        ("PUT", "/b/k", 412, {"if_match": "e"}, ["PutObject b/k", "GetObject b/k"]),
        (
            "PUT",
            "/b/k",
            200,
            {"x_amz_copy_source": "b/from"},
            ["PutObject b/k", "GetObject b/from"],
        ),
        ("DELETE", "/b/k", 204, {}, ["DeleteObject b/k"]),
    ],
)
def test_iam_actions_of_s3_requests(
    method: str, path: str, status: int, headers: dict[str, str], answer: list[str]
) -> None:
    told = translated(method, path, status=status, headers=headers)
    assert [each.replace(" on arn:aws:s3:::", " ") for each in told] == [
        f"s3:{each}" for each in answer
    ]


def form(**fields: str) -> bytes:
    parts = (
        f'--x\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n'
        for k, v in fields.items()
    )
    return "".join(parts).encode() + b"--x--\r\n"


def test_presigned_post_counts_as_put_by_its_signer() -> None:
    body = form(
        **{"key": "uploads/u1", "x-amz-credential": "WEB/20261125/us-east-1/s3/aws4_request"}
    )
    assert translated("POST", "/b", body) == ["s3:PutObject on arn:aws:s3:::b/uploads/u1"]
    assert signer(SignedRequest("POST", "/b", {}, body, 204)) == "WEB"
    signed = {"authorization": "AWS4-HMAC-SHA256 Credential=SCALER/20261125/x, Signature=1"}
    assert signer(SignedRequest("GET", "/b", signed, b"", 200)) == "SCALER"
    assert signer(SignedRequest("GET", "/b", {}, b"", 200)) == ""


@pytest.mark.parametrize(
    ("action", "body", "answer"),
    [
        ("DeleteMessageBatch", {"QueueUrl": "http://x/1/q"}, ["DeleteMessage on q"]),
        ("GetQueueUrl", {"QueueName": "q"}, ["GetQueueUrl on q"]),
        (
            "CreateQueue",
            {"QueueName": "q", "tags": {"a": "b"}},
            ["CreateQueue on q", "TagQueue on q"],
        ),
        (
            "StartMessageMoveTask",
            {"SourceArn": f"{QUEUES}s", "DestinationArn": f"{QUEUES}d"},
            [
                *("StartMessageMoveTask on s", "SendMessage on d", "ReceiveMessage on s"),
                *("DeleteMessage on s", "GetQueueAttributes on s"),
            ],
        ),
    ],
)
def test_iam_actions_of_sqs_requests(action: str, body: dict[str, Any], answer: list[str]) -> None:
    headers = {"x_amz_target": f"AmazonSQS.{action}"}
    told = translated("POST", "/", json.dumps(body).encode(), headers=headers)
    assert [each.replace(QUEUES, "") for each in told] == [f"sqs:{each}" for each in answer]


def launch(**over: str) -> list[Call]:
    fields = {
        "Action": "RunInstances",
        "LaunchTemplate.LaunchTemplateId": "lt-1",
        "SubnetId": "subnet-1",
        "InstanceMarketOptions.MarketType": "spot",
        "TagSpecification.1.ResourceType": "instance",
        "TagSpecification.1.Tag.1.Key": "owner",
        "TagSpecification.1.Tag.1.Value": "me",
        **over,
    }
    return calls(SignedRequest("POST", "/", {}, urlencode(fields).encode(), 200), Known())


def test_launch_needs_permission_for_all_its_resources() -> None:
    asked = {(call.action, call.resource.rpartition(":")[2]) for call in launch()}
    run = {
        *("instance/new", "volume/new", "image/ami-1", "security-group/sg-1", "subnet/subnet-1"),
        *("network-interface/new", "launch-template/lt-1", "key-pair/key"),
        "spot-instances-request/new",
    }
    assert asked == {
        *(("ec2:RunInstances", each) for each in run),
        ("ec2:CreateTags", "instance/new"),
        ("iam:PassRole", "role-of-profile"),
    }


def test_launch_request_overrides_the_template() -> None:
    def of_template(kind: str, asked: list[Call]) -> str:
        (call,) = (call for call in asked if f"{kind}/" in call.resource)
        return call.context["ec2:IsLaunchTemplateResource"]

    assert of_template("image", launch()) == of_template("security-group", launch()) == "true"
    assert of_template("image", launch(ImageId="ami-2")) == "false"
    assert of_template("security-group", launch(**{"SecurityGroupId.1": "sg-2"})) == "false"


def test_termination_is_judged_by_instance_tags() -> None:
    fields = {"Action": "TerminateInstances", "InstanceId.1": "i-1", "InstanceId.2": "i-2"}
    asked = calls(SignedRequest("POST", "/", {}, urlencode(fields).encode(), 200), Known())
    assert [call.context["aws:ResourceTag/owner"] for call in asked] == ["i-1", "i-2"]
