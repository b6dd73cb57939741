"""What SQS answers, at each emulator; docs/emulators.md has what they do otherwise."""

import json
import threading
import time
from typing import Any
from uuid import uuid4

import pytest

from testkit.aws.bare_client import answer, bare_client
from testkit.aws.embedded import Cloud, emptied
from testkit.processes.waiting import wait_until

MIB = 1_048_576

aws = pytest.fixture(emptied, scope="module")


@pytest.fixture(scope="module")
def sqs(aws: Cloud) -> Any:
    return bare_client(aws, "sqs")


@pytest.fixture
def url(sqs: Any) -> str:
    return made(sqs, {"VisibilityTimeout": "30"})


def made(sqs: Any, attributes: dict[str, str]) -> str:
    return str(sqs.create_queue(QueueName=f"q-{uuid4().hex}", Attributes=attributes)["QueueUrl"])


def arn(sqs: Any, url: str) -> str:
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    return str(found["Attributes"]["QueueArn"])


def received(sqs: Any, url: str, **more: Any) -> list[dict[str, Any]]:
    asked = {"WaitTimeSeconds": 1, "MessageSystemAttributeNames": ["All"], **more}
    return list(sqs.receive_message(QueueUrl=url, **asked).get("Messages", ()))


def entries(*bodies: str) -> list[dict[str, str]]:
    return [{"Id": str(number), "MessageBody": body} for number, body in enumerate(bodies)]


# How a call about a queue of its own is refused.
REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "message of more than 1 MiB": (
        "send_message",
        {"MessageBody": "x" * (MIB + 1)},
        "InvalidParameterValue 400",
    ),
    "message with a character that XML has not": (
        "send_message",
        {"MessageBody": "x\x00y"},
        "InvalidMessageContents 400",
    ),
    "batch of eleven": (
        "send_message_batch",
        {"Entries": entries(*"abcdefghijk")},
        "TooManyEntriesInBatchRequest 400",
    ),
    "batch of none": ("send_message_batch", {"Entries": []}, "EmptyBatchRequest 400"),
    "batch of more than 1 MiB": (
        "send_message_batch",
        {"Entries": entries("x" * 700_000, "x" * 700_000)},
        "BatchRequestTooLong 400",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_sqs_refuses(sqs: Any, url: str, case: str) -> None:
    call, parameters, refusal = REFUSED[case]
    assert answer(getattr(sqs, call), QueueUrl=url, **parameters) == refusal


def test_message_of_1_mib_is_taken(sqs: Any, url: str) -> None:
    assert answer(sqs.send_message, QueueUrl=url, MessageBody="x" * MIB) == "ok"


def test_batch_takes_all_but_the_bad_entry(sqs: Any, url: str) -> None:
    told = sqs.send_message_batch(QueueUrl=url, Entries=entries("good", "bad\x00"))
    assert [each["Id"] for each in told.get("Successful", ())] == ["0"]
    failed = [(each["Code"], each["SenderFault"]) for each in told.get("Failed", ())]
    assert failed == [("InvalidMessageContents", True)]


def test_queue_name_is_80_characters_at_most(sqs: Any) -> None:
    assert answer(sqs.create_queue, QueueName="a" * 81) == "InvalidParameterValue 400"


def test_queue_that_is_not_there_is_told_as_such(sqs: Any) -> None:
    with pytest.raises(sqs.exceptions.QueueDoesNotExist):
        sqs.get_queue_url(QueueName="none")


def test_queue_is_made_again_with_the_same_attributes_only(sqs: Any) -> None:
    name = f"q-{uuid4().hex}"
    same, other = {"VisibilityTimeout": "2"}, {"VisibilityTimeout": "9"}
    sqs.create_queue(QueueName=name, Attributes=same)
    assert answer(sqs.create_queue, QueueName=name, Attributes=same) == "ok"
    told = answer(sqs.create_queue, QueueName=name, Attributes=other)
    assert told in {"QueueAlreadyExists 400", "QueueNameExists 400"}


def test_message_has_its_attributes(sqs: Any, url: str) -> None:
    why = {"reason": {"DataType": "String", "StringValue": "why"}}
    sqs.send_message(QueueUrl=url, MessageBody="r", MessageAttributes=why)
    (message,) = received(sqs, url, MessageAttributeNames=["All"])
    assert message["MessageAttributes"]["reason"]["StringValue"] == "why"
    assert sorted(message["Attributes"]) == [
        "ApproximateFirstReceiveTimestamp",
        "ApproximateReceiveCount",
        "SenderId",
        "SentTimestamp",
    ]


def failures(told: dict[str, Any]) -> list[tuple[str, str, bool]]:
    return [(each["Id"], each["Code"], each["SenderFault"]) for each in told.get("Failed", ())]


@pytest.mark.parametrize("what", ["change_message_visibility_batch", "delete_message_batch"])
def test_false_receipt_fails_alone(sqs: Any, url: str, what: str) -> None:
    sqs.send_message(QueueUrl=url, MessageBody="r")
    (message,) = received(sqs, url)
    more = {"VisibilityTimeout": 5} if what.startswith("change") else {}
    receipts = (message["ReceiptHandle"], "rubbish")
    asked = [{"Id": str(i), "ReceiptHandle": each, **more} for i, each in enumerate(receipts)]
    told = getattr(sqs, what)(QueueUrl=url, Entries=asked)
    assert [each["Id"] for each in told["Successful"]] == ["0"]
    assert failures(told) == [("1", "ReceiptHandleIsInvalid", True)]


def deleted(sqs: Any, url: str) -> str:
    """The receipt of a message that is gone."""
    sqs.send_message(QueueUrl=url, MessageBody="r")
    (message,) = received(sqs, url)
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return str(message["ReceiptHandle"])


def test_message_is_deleted_twice_without_error(sqs: Any, url: str) -> None:
    again = [{"Id": "0", "ReceiptHandle": deleted(sqs, url)}]
    assert failures(sqs.delete_message_batch(QueueUrl=url, Entries=again)) == []


def test_deleted_message_cannot_be_held(sqs: Any, url: str) -> None:
    hold = [{"Id": "0", "ReceiptHandle": deleted(sqs, url), "VisibilityTimeout": 5}]
    ((_, code, _),) = failures(sqs.change_message_visibility_batch(QueueUrl=url, Entries=hold))
    assert code in {"InvalidParameterValue", "MessageNotInflight"}


def test_message_is_held_for_12_hours_at_most(sqs: Any, url: str) -> None:
    sqs.send_message(QueueUrl=url, MessageBody="r")
    (message,) = received(sqs, url)
    held = {"QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"]}
    told = answer(sqs.change_message_visibility, **held, VisibilityTimeout=43201)
    assert told == "InvalidParameterValue 400"


def test_long_poll_is_woken_by_a_message(sqs: Any, url: str) -> None:
    began = time.monotonic()
    send = {"QueueUrl": url, "MessageBody": "late"}
    timer = threading.Timer(0.3, sqs.send_message, kwargs=send)
    timer.start()
    assert len(received(sqs, url, WaitTimeSeconds=20)) == 1
    timer.join()
    assert 0.2 < time.monotonic() - began < 15


@pytest.fixture
def dead(sqs: Any) -> tuple[str, str]:
    """A queue of dead letters with one in it, and its source."""
    grave = made(sqs, {})
    redrive = {"deadLetterTargetArn": arn(sqs, grave), "maxReceiveCount": 1}
    source = made(sqs, {"RedrivePolicy": json.dumps(redrive), "VisibilityTimeout": "0"})
    sqs.send_message(QueueUrl=source, MessageBody="poison")
    assert len(received(sqs, source)) == 1
    assert received(sqs, source) == []
    return grave, source


def test_message_received_too_often_is_a_dead_letter(sqs: Any, dead: tuple[str, str]) -> None:
    (message,) = received(sqs, dead[0])
    assert message["Body"] == "poison"
    assert message["Attributes"]["DeadLetterQueueSourceArn"] == arn(sqs, dead[1])


def test_move_task_brings_dead_letters_back(sqs: Any, dead: tuple[str, str]) -> None:
    source, destination = (arn(sqs, url) for url in dead)
    sqs.start_message_move_task(SourceArn=source, DestinationArn=destination)

    def ended() -> bool:
        (task,) = sqs.list_message_move_tasks(SourceArn=source, MaxResults=1)["Results"]
        return bool(task["Status"] == "COMPLETED")

    wait_until(ended, 10)
    assert [each["Body"] for each in received(sqs, dead[1])] == ["poison"]


def test_move_task_wants_a_queue_of_dead_letters(sqs: Any, url: str) -> None:
    told = answer(sqs.start_message_move_task, SourceArn=arn(sqs, url))
    assert told in {"InvalidParameterValue 400", "UnsupportedOperation 400"}


def test_tags_are_written_over_and_no_part_of_a_name(sqs: Any) -> None:
    name = f"q-{uuid4().hex}"
    url = sqs.create_queue(QueueName=name, tags={"a": "1", "heartbeat": "1"})["QueueUrl"]
    sqs.tag_queue(QueueUrl=url, Tags={"heartbeat": "2"})
    assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"a": "1", "heartbeat": "2"}
    assert answer(sqs.create_queue, QueueName=name, tags={"heartbeat": "9"}) == "ok"


def test_queues_are_listed_by_prefix_in_pages(sqs: Any) -> None:
    names = [f"listed-{uuid4().hex}-{number}" for number in range(3)]
    for name in names:
        sqs.create_queue(QueueName=name)
    pages = sqs.get_paginator("list_queues").paginate(
        QueueNamePrefix="listed-", PaginationConfig={"PageSize": 2}
    )
    found = [url.rpartition("/")[2] for page in pages for url in page.get("QueueUrls", ())]
    assert sorted(found) == sorted(names)


def test_deleted_queue_is_gone(sqs: Any) -> None:
    url = made(sqs, {})
    sqs.delete_queue(QueueUrl=url)
    gone = {"NonExistentQueue 400", "QueueDoesNotExist 400"}
    assert answer(sqs.delete_queue, QueueUrl=url) in gone
    assert answer(sqs.send_message, QueueUrl=url, MessageBody="x") in gone


def test_deleted_queues_name_is_not_given_away_at_once(sqs: Any) -> None:
    name = f"q-{uuid4().hex}"
    sqs.delete_queue(QueueUrl=sqs.create_queue(QueueName=name)["QueueUrl"])
    assert answer(sqs.create_queue, QueueName=name) == "QueueDeletedRecently 400"
