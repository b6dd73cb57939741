"""What SQS has said, and what only looks like it."""

import json

import pytest
from botocore.parsers import ResponseParserError

from visionfleet.aws.whole_answers import json_object


@pytest.mark.parametrize("said", [{}, {"QueueUrls": []}, {"Messages": [{"Body": '{"__type": 1}'}]}])
def test_answers_of_sqs_are_read(said: object) -> None:
    assert json_object(json.dumps(said).encode()) == said
    assert json_object(f"\n{json.dumps(said)}\n".encode()) == said


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"<html>",
        b"null",
        b"[]",
        b'"{}"',
        b'{"Messages": [{"Body": "',
        b'{"QueueUrls": []} trailing',
        b'{"__type": "com.amazonaws.sqs#InternalError", "message": "x"}',
        b'{ "message": "x", "__type": "InternalError"}',
        b'{"a": "\xff"}',
        b'{"a": ' + b"[" * 100_000,
    ],
    ids=lambda body: str(body[:20]),
)
def test_all_else_is_no_answer(body: bytes) -> None:
    """Without that a cut list of queues is an empty one, and all queues are nobody's."""
    with pytest.raises(ResponseParserError):
        json_object(body)
