"""The CloudFormation template by itself, without AWS.

The embedded AWS passes over some resources without a word: policies of queues and buckets,
lifecycles, alarms. Of those the template is read.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import cfnlint
import pytest
import yaml
from cfnlint.helpers import load_resource

from testkit.aws.cloudformation_stack import DAEMONS, TEMPLATE, parameters, properties, resources
from testkit.aws.iam_policies import listed
from visionfleet.aws.cloudwatch import AT_MAXIMUM, NAMESPACE
from visionfleet.aws.provisioning import DEAD_RETENTION_SECONDS
from visionfleet.config import Config
from visionfleet.contract import names
from visionfleet.scaler.maximum_alarm import EVERY_SECONDS


def test_cfn_lint_finds_no_fault() -> None:
    config = cfnlint.ManualArgs(regions=["us-east-1", "eu-central-1"], include_checks=["I", "W"])
    assert [str(match) for match in cfnlint.lint_file(TEMPLATE, config)] == []


def test_template_fits_the_size_limit_and_has_no_yaml_aliases() -> None:
    """CloudFormation takes 51,200 bytes in a request, and knows no aliases of YAML."""
    assert TEMPLATE.stat().st_size < 51_200
    kinds = {type(token) for token in yaml.scan(TEMPLATE.read_text())}
    assert kinds.isdisjoint({yaml.AliasToken, yaml.AnchorToken})


@pytest.mark.parametrize("queue", ["RequestsQueue", "DeadQueue"])
def test_queues_are_encrypted_and_closed_to_plain_http(queue: str) -> None:
    found = properties(queue)
    assert found["SqsManagedSseEnabled"] == {"Fn::If": ["HasKey", False, True]}
    key = ["HasKey", {"Ref": "KmsKeyArn"}, {"Ref": "AWS::NoValue"}]
    assert found["KmsMasterKeyId"] == {"Fn::If": key}
    policy = properties(f"{queue}Policy")
    assert policy["Queues"] == [{"Ref": queue}], "SQS refuses a statement about another queue"
    only_tls(policy["PolicyDocument"], [{"Fn::GetAtt": [queue, "Arn"]}])


@pytest.mark.parametrize("bucket", ["InputBucket", "OutputBucket"])
def test_buckets_are_closed_to_plain_http(bucket: str) -> None:
    policy = properties(f"{bucket}Policy")
    assert policy["Bucket"] == {"Ref": bucket}
    arn = {"Fn::GetAtt": [bucket, "Arn"]}
    only_tls(policy["PolicyDocument"], [arn, {"Fn::Sub": f"${{{bucket}.Arn}}/*"}])


def only_tls(document: Mapping[str, Any], covered: list[Any]) -> None:
    (statement,) = document["Statement"]
    assert (statement["Effect"], statement["Principal"]) == ("Deny", "*")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert statement["Action"] in ("s3:*", "sqs:*")
    resource = statement["Resource"]
    assert (resource if isinstance(resource, list) else [resource]) == covered


def lifecycle(bucket: str) -> dict[str, dict[str, Any]]:
    rules = properties(bucket)["LifecycleConfiguration"]["Rules"]
    # A rule that is there on a condition stands as its first alternative.
    plain = [rule["Fn::If"][1] if "Fn::If" in rule else rule for rule in rules]
    assert all(rule["Status"] == "Enabled" for rule in plain)
    return {rule["Id"]: rule for rule in plain}


def test_bucket_lifecycle_expires_images_and_uploads_only() -> None:
    """Prefixes are those of the wire contract; fleet/ as a whole must not expire."""
    incoming, outgoing = lifecycle("InputBucket"), lifecycle("OutputBucket")
    every = (*incoming.values(), *outgoing.values())
    prefixes = {str(rule["Prefix"]) for rule in every if "Prefix" in rule}
    keys = {
        *(names.upload_key("x"), names.image_key("x"), names.idempotency_key("x")),
        *(names.worker_key("x"), names.drain_key("x"), names.result_key("x")),
        names.by_content_key("x", "y"),
    }
    for prefix in prefixes:
        assert any(key.startswith(prefix) for key in keys), prefix
        assert not any(
            key.startswith(prefix)
            for key in (names.STATUS_KEY, names.LEASE_KEY, names.LAUNCHES_KEY)
        )
    assert incoming["uploads"]["ExpirationInDays"] == 1, "as docs/http-api.md says"
    assert incoming["images"]["ExpirationInDays"] == {"Ref": "ImageDays"}
    assert outgoing["results"]["ExpirationInDays"] == {"Ref": "ResultDays"}
    for rules in (incoming, outgoing):
        assert rules["unfinished"]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}


def test_images_outlive_their_dead_letters() -> None:
    longest = DEAD_RETENTION_SECONDS / 86400
    assert parameters()["ImageDays"]["MinValue"] > longest


def test_results_expire_only_when_configured() -> None:
    (rule,) = (
        rule
        for rule in properties("OutputBucket")["LifecycleConfiguration"]["Rules"]
        if "Fn::If" in rule
    )
    assert rule["Fn::If"][0] == "ResultsExpire"
    assert rule["Fn::If"][2] == {"Ref": "AWS::NoValue"}


def test_input_bucket_cors_needs_configured_origins() -> None:
    condition, rules, nothing = properties("InputBucket")["CorsConfiguration"]["Fn::If"]
    assert (condition, nothing) == ("HasOrigins", {"Ref": "AWS::NoValue"})
    (rule,) = rules["CorsRules"]
    assert rule["AllowedMethods"] == ["POST"]
    assert rule["AllowedOrigins"] == {"Ref": "CorsOrigins"}
    assert "CorsConfiguration" not in properties("OutputBucket")


@pytest.mark.parametrize("daemon", DAEMONS)
def test_hosts_reach_only_https_and_time_servers(daemon: str) -> None:
    ways = properties(f"{daemon}Group")["SecurityGroupEgress"]
    assert {(way["IpProtocol"], way["FromPort"], way["ToPort"]) for way in ways} == {
        ("tcp", 443, 443),
        ("udp", 123, 123),
    }


def test_new_ami_reaches_every_host() -> None:
    """A group follows its template; the scaler follows that of the workers, by its number."""
    for daemon in DAEMONS:
        assert properties(f"{daemon}Template")["LaunchTemplateData"]["ImageId"] == {
            "Ref": "ImageId"
        }
    for daemon in ("Web", "Scaler"):
        followed = properties(f"{daemon}HostGroup")["LaunchTemplate"]
        template = f"{daemon}Template"
        assert followed["LaunchTemplateId"] == {"Ref": template}
        assert followed["Version"] == {"Fn::GetAtt": [template, "LatestVersionNumber"]}
    told = properties("ScalerTemplate")["LaunchTemplateData"]["UserData"]
    assert "${WorkerTemplate.LatestVersionNumber}" in json.dumps(told)


def test_docs_give_the_parameters_without_a_default() -> None:
    """Those in its `stack.json`, as they are pasted."""
    manual = (TEMPLATE.parents[1] / "docs" / "aws.md").read_text()
    block = manual.partition("cat > stack.json <<END")[2].partition("END")[0]
    given = set(re.findall(r"['\"]([A-Z]\w+)=", block))
    known = parameters()
    needed = {name for name, one in known.items() if "Default" not in one}
    assert needed <= given <= set(known)


def alarms() -> dict[str, dict[str, Any]]:
    found = resources()
    return {
        name: one["Properties"]
        for name, one in found.items()
        if one["Type"] == "AWS::CloudWatch::Alarm"
    }


def test_alarms_notify_the_topic_and_are_documented() -> None:
    manual = (TEMPLATE.parents[1] / "docs" / "aws.md").read_text()
    assert len(alarms()) == 4
    for name, alarm in alarms().items():
        topic = {"Fn::If": ["HasEmail", [{"Ref": "AlarmTopic"}], {"Ref": "AWS::NoValue"}]}
        assert alarm["AlarmActions"] == alarm["OKActions"] == topic
        assert f"`{name}`" in manual


def test_fleet_alarms_use_metrics_that_the_scaler_publishes() -> None:
    full, silent = alarms()["FleetAtMaximumAlarm"], alarms()["ScalerSilentAlarm"]
    for alarm in (full, silent):
        assert (alarm["Namespace"], alarm["MetricName"]) == (NAMESPACE, AT_MAXIMUM)
        assert alarm["Dimensions"] == [{"Name": "Deployment", "Value": {"Ref": "Name"}}]
        assert alarm["Period"] > EVERY_SECONDS + Config().scaler.interval_seconds
    assert full["TreatMissingData"] == "notBreaching"
    assert silent["TreatMissingData"] == "breaching"


def test_queue_alarms_use_sqs_metrics() -> None:
    dead, oldest = alarms()["DeadLettersAlarm"], alarms()["OldestRequestAlarm"]
    for alarm, queue in ((dead, "DeadQueue"), (oldest, "RequestsQueue")):
        assert alarm["Namespace"] == "AWS/SQS"
        (dimension,) = alarm["Dimensions"]
        assert dimension["Value"] == {"Fn::GetAtt": [queue, "QueueName"]}
    assert dead["MetricName"] == "ApproximateNumberOfMessagesVisible"
    assert oldest["MetricName"] == "ApproximateAgeOfOldestMessage"


def statements() -> Iterator[tuple[str, dict[str, Any]]]:
    for daemon in (*DAEMONS, "Operator"):
        for statement in properties(f"{daemon}Policy")["PolicyDocument"]["Statement"]:
            yield daemon, statement


def test_iam_wildcards_are_only_those_with_a_reason() -> None:
    """These actions know no resource; all others name theirs."""
    anywhere = set()
    for _, statement in statements():
        actions = listed(statement["Action"])
        assert not any("*" in action for action in actions)
        if statement["Resource"] == "*":
            anywhere |= set(actions)
    assert anywhere == {
        *("sqs:ListQueues", "cloudwatch:PutMetricData"),
        *("ec2:DescribeInstances", "ec2:DescribeLaunchTemplateVersions"),
    }


def test_iam_conditions_use_keys_that_ec2_supports() -> None:
    """A key that EC2 does not know of a resource never fulfils a condition: nothing would start."""
    known = load_resource("cfnlint.data.AdditionalSpecs", "Policies.json")["ec2"]["Resources"]
    checked = 0
    for _, statement in statements():
        if statement["Action"] != "ec2:RunInstances" or "Condition" not in statement:
            continue
        for resource in statement["Resource"]:
            kind = str(resource["Fn::Sub"]).rpartition(":")[2].partition("/")[0]
            for expected in statement["Condition"].values():
                for key in expected:
                    checked += 1
                    assert plain(key) in known[kind]["ConditionKeys"], (kind, key)
    assert checked >= 10


def plain(key: str) -> str:
    """Write a key as EC2's reference does: `aws:RequestTag/${TagKey}`."""
    name, slash, _ = key.partition("/")
    return f"{name}/${{TagKey}}" if slash else key
