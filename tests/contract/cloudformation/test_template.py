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
from visionfleet.scaler.cloudwatch_alarm import EVERY_SECONDS


def test_the_linter_finds_nothing() -> None:
    config = cfnlint.ManualArgs(regions=["us-east-1", "eu-central-1"], include_checks=["I", "W"])
    assert [str(match) for match in cfnlint.lint_file(TEMPLATE, config)] == []


def test_the_template_is_small_enough_to_be_sent_and_has_no_aliases() -> None:
    """CloudFormation takes 51,200 bytes in a request, and knows no aliases of YAML."""
    assert TEMPLATE.stat().st_size < 51_200
    kinds = {type(token) for token in yaml.scan(TEMPLATE.read_text())}
    assert kinds.isdisjoint({yaml.AliasToken, yaml.AnchorToken})


@pytest.mark.parametrize("queue", ["RequestsQueue", "DeadQueue"])
def test_queues_are_encrypted_and_closed_to_plain_http(queue: str) -> None:
    assert properties(queue)["SqsManagedSseEnabled"] is True
    policy = properties("QueuesPolicy")
    assert {"Ref": queue} in policy["Queues"]
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
    assert all(each in statement["Resource"] for each in covered)


def lifecycle(bucket: str) -> dict[str, dict[str, Any]]:
    rules = properties(bucket)["LifecycleConfiguration"]["Rules"]
    # A rule that is there on a condition stands as its first alternative.
    plain = [rule["Fn::If"][1] if "Fn::If" in rule else rule for rule in rules]
    assert all(rule["Status"] == "Enabled" for rule in plain)
    return {rule["Id"]: rule for rule in plain}


def test_what_may_go_goes_and_nothing_else() -> None:
    """Prefixes are those of the wire contract; fleet/ as a whole must not expire."""
    incoming, outgoing = lifecycle("InputBucket"), lifecycle("OutputBucket")
    prefixes = {rule.get("Prefix") for rule in (*incoming.values(), *outgoing.values())}
    keys = {
        *(names.upload_key("x"), names.image_key("x"), names.idempotency_key("x")),
        *(names.worker_key("x"), names.drain_key("x"), names.result_key("x")),
        names.by_content_key("x", "y"),
    }
    for prefix in prefixes - {None}:
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


def test_a_dead_letter_has_its_image() -> None:
    longest = DEAD_RETENTION_SECONDS / 86400
    assert parameters()["ImageDays"]["MinValue"] > longest


def test_results_expire_only_if_asked_to() -> None:
    (rule,) = (
        rule
        for rule in properties("OutputBucket")["LifecycleConfiguration"]["Rules"]
        if "Fn::If" in rule
    )
    assert rule["Fn::If"][0] == "ResultsExpire"
    assert rule["Fn::If"][2] == {"Ref": "AWS::NoValue"}


def test_pages_may_post_to_the_input_bucket_only_with_their_origins() -> None:
    condition, rules, nothing = properties("InputBucket")["CorsConfiguration"]["Fn::If"]
    assert (condition, nothing) == ("HasOrigins", {"Ref": "AWS::NoValue"})
    (rule,) = rules["CorsRules"]
    assert rule["AllowedMethods"] == ["POST"]
    assert rule["AllowedOrigins"] == {"Ref": "CorsOrigins"}
    assert "CorsConfiguration" not in properties("OutputBucket")


@pytest.mark.parametrize("daemon", DAEMONS)
def test_hosts_reach_https_and_the_time_alone(daemon: str) -> None:
    ways = properties(f"{daemon}Group")["SecurityGroupEgress"]
    assert {(way["IpProtocol"], way["FromPort"], way["ToPort"]) for way in ways} == {
        ("tcp", 443, 443),
        ("udp", 123, 123),
    }


def test_a_new_image_reaches_every_host() -> None:
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


def test_the_manual_gives_the_parameters_that_have_no_default() -> None:
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


def test_each_alarm_goes_to_the_topic_and_is_in_the_manual() -> None:
    manual = (TEMPLATE.parents[1] / "docs" / "aws.md").read_text()
    assert len(alarms()) == 4
    for name, alarm in alarms().items():
        topic = {"Fn::If": ["HasEmail", [{"Ref": "AlarmTopic"}], {"Ref": "AWS::NoValue"}]}
        assert alarm["AlarmActions"] == alarm["OKActions"] == topic
        assert f"`{name}`" in manual


def test_alarms_about_the_fleet_look_at_what_the_scaler_publishes() -> None:
    full, silent = alarms()["FleetAtMaximumAlarm"], alarms()["ScalerSilentAlarm"]
    for alarm in (full, silent):
        assert (alarm["Namespace"], alarm["MetricName"]) == (NAMESPACE, AT_MAXIMUM)
        assert alarm["Dimensions"] == [{"Name": "Deployment", "Value": {"Ref": "Name"}}]
        assert alarm["Period"] > EVERY_SECONDS + Config().scaler.interval_seconds
    assert full["TreatMissingData"] == "notBreaching"
    assert silent["TreatMissingData"] == "breaching"


def test_alarms_about_queues_look_at_metrics_of_sqs() -> None:
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


def test_no_action_is_a_wildcard_and_a_bare_star_needs_its_reason() -> None:
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


def test_conditions_are_on_keys_that_ec2_knows_of_that_resource() -> None:
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
