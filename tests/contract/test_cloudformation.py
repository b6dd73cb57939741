"""The CloudFormation stack: created at the embedded AWS, and checked by its template.

The embedded AWS passes over some resources without a word (policies of queues, lifecycles, alarms
and others), so of those the template itself is read.
"""

import base64
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cfnlint
import pytest
import yaml
from cfnlint.decode import decode
from cfnlint.helpers import load_resource

from tests.support.cloud_stack import IMAGE, TEMPLATE, CloudStack, cloud_stack, dumped
from tests.support.policies import listed
from visionfleet import keys, messages
from visionfleet.alarm_metrics import AT_MAXIMUM, NAMESPACE
from visionfleet.cli.provision import plan
from visionfleet.config import Config, load
from visionfleet.provision import provision_queues
from visionfleet.scaler.bulletin import EVERY_SECONDS
from visionfleet.web.server import IDLE_SECONDS

DAEMONS = ("Web", "Scaler", "Worker")
# A line of the file of keys.
KEY = keys.made("shop", b"\xaa" * 53, 0.0, None)[1].model_dump_json(exclude_none=True)


def resources() -> dict[str, Any]:
    template, faults = decode(str(TEMPLATE))
    assert not faults
    return json.loads(json.dumps(template["Resources"]))


def properties(name: str) -> dict[str, Any]:
    found: dict[str, Any] = resources()[name]["Properties"]
    return found


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudStack]:
    with cloud_stack(tmp_path_factory.mktemp("stack")) as made:
        yield made


@pytest.fixture(scope="module")
def balanced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudStack]:
    """The stack with all that is optional."""
    with cloud_stack(
        tmp_path_factory.mktemp("balanced"),
        certified=True,
        AlarmEmail="ops@example.org",
        CorsOrigins="https://a.example,https://b.example",
        ResultDays="90",
        WebKeys=",".join((KEY, KEY.replace("aa", "bb"))),
        KeyName="ops",
        AdminCidr="203.0.113.0/24",
        Spot="true",
    ) as made:
        yield made


def test_the_linter_finds_nothing() -> None:
    config = cfnlint.ManualArgs(regions=["us-east-1", "eu-central-1"], include_checks=["I", "W"])
    assert [str(match) for match in cfnlint.lint_file(TEMPLATE, config)] == []


def test_the_template_is_small_enough_to_be_sent_and_has_no_aliases() -> None:
    """CloudFormation takes 51,200 bytes in a request, and knows no aliases of YAML."""
    assert TEMPLATE.stat().st_size < 51_200
    kinds = {type(token) for token in yaml.scan(TEMPLATE.read_text())}
    assert kinds.isdisjoint({yaml.AliasToken, yaml.AnchorToken})


# Queues


def attributes(stack: CloudStack, queue: str) -> dict[str, Any]:
    url = stack.aws.queue_url(queue)
    found = stack.aws.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    kept = ("VisibilityTimeout", "MessageRetentionPeriod", "RedrivePolicy", "DelaySeconds")
    return {name: found.get(name) for name in (*kept, "MaximumMessageSize")}


def test_queues_are_those_that_provision_makes(stack: CloudStack) -> None:
    names = (messages.requests_queue("visionfleet"), messages.dead_queue("visionfleet"))
    made = [attributes(stack, name) for name in names]
    for name in names:
        stack.aws.sqs.delete_queue(QueueUrl=stack.aws.queue_url(name))
    list(provision_queues(stack.aws.sqs, plan(Config())))
    provisioned = [attributes(stack, name) for name in names]
    for each in (*made, *provisioned):
        each["RedrivePolicy"] = json.loads(each["RedrivePolicy"] or "null")
    assert made == provisioned
    assert made[0]["RedrivePolicy"]["maxReceiveCount"] == Config().queue.max_receives


@pytest.mark.parametrize("queue", ["RequestsQueue", "DeadQueue"])
def test_queues_are_encrypted_and_closed_to_plain_http(queue: str) -> None:
    assert properties(queue)["SqsManagedSseEnabled"] is True
    policy = properties("QueuesPolicy")
    assert {"Ref": queue} in policy["Queues"]
    only_tls(policy["PolicyDocument"], [{"Fn::GetAtt": [queue, "Arn"]}])


def only_tls(document: Mapping[str, Any], covered: list[Any]) -> None:
    (statement,) = document["Statement"]
    assert (statement["Effect"], statement["Principal"]) == ("Deny", "*")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert statement["Action"] in ("s3:*", "sqs:*")
    assert all(each in statement["Resource"] for each in covered)


# Buckets


@pytest.mark.parametrize("bucket", ["InputBucket", "OutputBucket"])
def test_buckets_are_private_encrypted_and_outlive_the_stack(
    bucket: str, stack: CloudStack
) -> None:
    name = stack.outputs[bucket]
    rules = stack.aws.s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]
    assert rules["Rules"][0]["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    assert set(properties(bucket)["PublicAccessBlockConfiguration"].values()) == {True}
    owned = properties(bucket)["OwnershipControls"]["Rules"]
    assert owned == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    whole = resources()[bucket]
    assert whole["DeletionPolicy"] == whole["UpdateReplacePolicy"] == "Retain"
    policy = properties(f"{bucket}Policy")
    assert policy["Bucket"] == {"Ref": bucket}
    arn = {"Fn::GetAtt": [bucket, "Arn"]}
    only_tls(policy["PolicyDocument"], [arn, {"Fn::Sub": f"${{{bucket}.Arn}}/*"}])


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
        *(messages.upload_key("x"), messages.image_key("x"), messages.idempotency_key("x")),
        *(messages.worker_key("x"), messages.drain_key("x"), messages.result_key("x")),
        messages.by_content_key("x", "y"),
    }
    for prefix in prefixes - {None}:
        assert any(key.startswith(prefix) for key in keys), prefix
        assert not any(
            key.startswith(prefix)
            for key in (messages.STATUS_KEY, messages.LEASE_KEY, messages.LAUNCHES_KEY)
        )
    assert incoming["uploads"]["ExpirationInDays"] == 1, "as docs/http-api.md says"
    assert incoming["images"]["ExpirationInDays"] == {"Ref": "ImageDays"}
    assert outgoing["results"]["ExpirationInDays"] == {"Ref": "ResultDays"}
    for rules in (incoming, outgoing):
        assert rules["unfinished"]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}


def test_a_dead_letter_has_its_image() -> None:
    template, _ = decode(str(TEMPLATE))
    longest = Config().queue.dead_retention_seconds / 86400
    assert template["Parameters"]["ImageDays"]["MinValue"] > longest


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


# Launch templates and what they tell their hosts


@pytest.mark.parametrize("daemon", DAEMONS)
def test_hosts_are_hardened(daemon: str, stack: CloudStack) -> None:
    data = stack.launch_data(f"{daemon}Template")
    assert data["ImageId"] == IMAGE
    assert data["MetadataOptions"]["HttpTokens"] == "required"
    assert data["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
    assert data["InstanceInitiatedShutdownBehavior"] == "terminate"
    (disk,) = data["BlockDeviceMappings"]
    assert disk["Ebs"] == {
        "Encrypted": True,
        "VolumeType": "gp3",
        "DeleteOnTermination": True,
        "VolumeSize": 8,
    }
    assert data["SecurityGroupIds"] == [stack.resources[f"{daemon}Group"]]
    assert "NetworkInterfaces" not in data, "EC2 would refuse a subnet beside it"
    assert "KeyName" not in data


@pytest.mark.parametrize("daemon", DAEMONS)
def test_each_daemon_has_a_role_of_its_own(daemon: str, stack: CloudStack) -> None:
    role = stack.role(stack.launch_data(f"{daemon}Template")["IamInstanceProfile"]["Arn"])
    assert role.endswith(f"role/{stack.resources[f'{daemon}Role']}")
    assert properties(f"{daemon}Role")["ManagedPolicyArns"] == [{"Ref": f"{daemon}Policy"}]
    assert "Policies" not in properties(f"{daemon}Role")


@pytest.mark.parametrize("daemon", DAEMONS)
def test_user_data_has_the_form_that_the_image_reads(daemon: str, balanced: CloudStack) -> None:
    text = balanced.user_data(f"{daemon}Template")
    assert text.splitlines()[0] == "#visionfleet"
    assert set(yaml.safe_load(text)) == {"role", "visionfleet"}
    assert yaml.safe_load(text)["role"] == daemon.lower()
    encoded = balanced.launch_data(f"{daemon}Template")["UserData"]
    assert len(base64.b64decode(encoded)) < 16_384, "EC2 takes no more"


def configuration(settings: Mapping[str, Any], folder: Path) -> Config:
    path = folder / "visionfleet.yaml"
    path.write_text(dumped(settings))
    return load(path, {}).config


@pytest.mark.parametrize("daemon", DAEMONS)
@pytest.mark.parametrize("which", ["stack", "balanced"])
def test_user_data_is_a_configuration_without_fault(
    daemon: str, which: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    made: CloudStack = request.getfixturevalue(which)
    found = configuration(made.drop_in(f"{daemon}Template"), tmp_path)
    assert found.storage.input_bucket == made.outputs["InputBucket"]
    assert found.storage.output_bucket == made.outputs["OutputBucket"]


def test_workers_know_what_the_fleet_of_ec2_wants(stack: CloudStack, tmp_path: Path) -> None:
    found = configuration(stack.drop_in("WorkerTemplate"), tmp_path).classifier
    assert (found.named_by_instance, found.interruption_notices, found.self_shutdown) == (
        (True,) * 3
    )


def test_the_scaler_knows_its_template_types_and_subnets(
    balanced: CloudStack, tmp_path: Path
) -> None:
    found = configuration(balanced.drop_in("ScalerTemplate"), tmp_path)
    assert found.scaler.fleet == "ec2"
    assert found.scaler.publish_metrics, "two alarms live on it"
    assert found.scaler.maximum == 19
    assert found.ec2.launch_template == balanced.resources["WorkerTemplate"]
    assert found.ec2.template_version == "1", "a number: what runs changes with an update only"
    assert found.ec2.instance_types == ("c7i.large", "c6i.large")
    assert len(found.ec2.subnets) == 2
    assert found.ec2.spot


def test_the_web_daemon_waits_no_longer_than_the_load_balancer(
    stack: CloudStack, balanced: CloudStack, tmp_path: Path
) -> None:
    alone = configuration(stack.drop_in("WebTemplate"), tmp_path).web
    assert (alone.address, alone.auth, alone.trusted_proxies) == ("0.0.0.0", "keys", ())
    assert alone.plain_wait_seconds == Config().web.plain_wait_seconds
    behind = configuration(balanced.drop_in("WebTemplate"), tmp_path).web
    assert [str(each) for each in behind.trusted_proxies] == ["172.31.0.0/16"]
    assert [kept.id for kept in behind.keys] == ["a" * 10, "b" * 10]
    assert behind.cors_origins == ("https://a.example", "https://b.example")
    given = properties("Balancer")["LoadBalancerAttributes"]
    idle = {each["Key"]: each["Value"] for each in given}["idle_timeout.timeout_seconds"]
    longest = max(behind.plain_wait_seconds, behind.max_wait_seconds)
    assert longest < int(idle) < IDLE_SECONDS


def test_the_load_balancer_speaks_tls_and_asks_for_readiness(balanced: CloudStack) -> None:
    elb = balanced.client("elbv2")
    (listener,) = elb.describe_listeners(LoadBalancerArn=balanced.resources["Balancer"])[
        "Listeners"
    ]
    assert (listener["Protocol"], listener["Port"]) == ("HTTPS", 443)
    assert "TLS13" in listener["SslPolicy"]
    (targets,) = elb.describe_target_groups()["TargetGroups"]
    assert (targets["HealthCheckPath"], targets["Port"]) == ("/readyz", 8080)
    assert properties("WebTargets")["Matcher"] == {"HttpCode": "200"}
    groups = balanced.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    (web,) = (group for group in groups if group["TargetGroupARNs"])
    assert web["HealthCheckType"] == "ELB"


def test_without_a_certificate_there_is_no_load_balancer(stack: CloudStack) -> None:
    assert stack.client("elbv2").describe_load_balancers()["LoadBalancers"] == []
    assert "Url" not in stack.outputs


# Networks


def ingress(stack: CloudStack, group: str) -> list[tuple[int, str]]:
    """Port and from where, for each way in."""
    (found,) = stack.client("ec2").describe_security_groups(GroupIds=[stack.resources[group]])[
        "SecurityGroups"
    ]
    return sorted(
        (rule["FromPort"], source)
        for rule in found["IpPermissions"]
        for source in (
            *(each["CidrIp"] for each in rule["IpRanges"]),
            *(each["GroupId"] for each in rule["UserIdGroupPairs"]),
        )
    )


def test_nobody_calls_workers_and_only_clients_call_the_web(
    stack: CloudStack, balanced: CloudStack
) -> None:
    clients = "203.0.113.0/24"
    for made in (stack, balanced):
        assert ingress(made, "WorkerGroup") == []
    assert ingress(stack, "ScalerGroup") == []
    assert ingress(stack, "WebGroup") == [(8080, clients)]
    assert ingress(balanced, "ScalerGroup") == [(22, clients)]
    from_balancer = (8080, balanced.resources["BalancerGroup"])
    assert ingress(balanced, "WebGroup") == [(22, clients), from_balancer]
    assert ingress(balanced, "BalancerGroup") == [(443, clients)]


@pytest.mark.parametrize("daemon", DAEMONS)
def test_hosts_reach_https_and_the_time_alone(daemon: str) -> None:
    ways = properties(f"{daemon}Group")["SecurityGroupEgress"]
    assert {(way["IpProtocol"], way["FromPort"], way["ToPort"]) for way in ways} == {
        ("tcp", 443, 443),
        ("udp", 123, 123),
    }


# Hosts


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


@pytest.mark.parametrize("group", ["WebHostGroup", "ScalerHostGroup"])
def test_groups_of_hosts_heal_and_are_replaced_one_by_one(group: str, stack: CloudStack) -> None:
    (found,) = stack.client("autoscaling").describe_auto_scaling_groups(
        AutoScalingGroupNames=[stack.outputs[group]]
    )["AutoScalingGroups"]
    assert found["MinSize"] == found["DesiredCapacity"] == 1
    assert found["MaxSize"] > 1, "room for the new host beside the old one"
    whole = resources()[group]
    update = whole["UpdatePolicy"]["AutoScalingRollingUpdate"]
    assert update["MinInstancesInService"] == whole["Properties"]["MinSize"]


def test_hosts_of_web_and_scaler_are_no_workers(stack: CloudStack) -> None:
    """What carries the tags of workers would be counted, and could be ended, by the scaler."""
    for group in ("WebHostGroup", "ScalerHostGroup"):
        keys = {tag["Key"] for tag in properties(group)["Tags"]}
        assert keys == {"Name"}
    found = stack.client("ec2").describe_instances(
        Filters=[{"Name": "tag:visionfleet:deployment", "Values": ["visionfleet"]}]
    )
    assert found["Reservations"] == []


# Alarms


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


# Policies


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


def test_the_output_is_a_configuration_for_any_machine(stack: CloudStack, tmp_path: Path) -> None:
    drop_in = yaml.safe_load(stack.outputs["Configuration"])
    found = configuration(drop_in, tmp_path)
    hosts = configuration(stack.drop_in("ScalerTemplate"), tmp_path)
    assert found.ec2 == hosts.ec2
    assert found.storage == hosts.storage
    assert found.name == hosts.name
