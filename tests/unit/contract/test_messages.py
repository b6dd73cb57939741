"""The wire contract."""

import json

import pytest

from visionfleet.contract import messages, names
from visionfleet.contract.vectors import decode_vector, encode_vector
from visionfleet.errors import BadMessage

REQUEST = messages.Request(job="j1", key="images/j1", reply_to="r", sent_at=1.5)
MODEL = messages.ModelInfo(name="m", fingerprint="f")
SUCCEEDED = messages.Succeeded(
    job="j1",
    label="cat",
    score=0.75,
    top=(messages.Ranked(index=3, label="cat", score=0.75),),
    model=MODEL,
    timings=messages.Timings(queue=0.5),
    attempts=1,
    worker="w",
    finished_at=2.0,
)
EMBEDDED = SUCCEEDED.model_copy(update={"vector": encode_vector([0.5, -1e-30, 3.0])})
UNSURE = SUCCEEDED.model_copy(update={"label": None, "reason": messages.LOW_CONFIDENCE})
FAILED = messages.Failed(
    job="j1", code="empty", reason="why", attempts=2, worker="w", finished_at=2.0
)


def test_vector_is_float32_in_base64() -> None:
    assert decode_vector(encode_vector([0.5, -2.0])) == (0.5, -2.0)
    assert decode_vector(encode_vector([0.1])) == pytest.approx((0.1,), rel=1e-7)
    assert len(encode_vector([0.1] * 1280)) == 6828


@pytest.mark.parametrize("text", ["", "AAAA", "no base64", 3])
def test_vector_that_cannot_be_read_is_a_bad_result(text: object) -> None:
    document = json.loads(messages.encode(EMBEDDED)) | {"vector": text}
    with pytest.raises(BadMessage, match="vector"):
        messages.decode_result(json.dumps(document))


def test_what_has_no_vector_says_nothing_of_it() -> None:
    assert "vector" not in messages.encode(SUCCEEDED)
    assert "embed" not in messages.encode(REQUEST)
    assert messages.Request.decode(
        messages.encode(REQUEST.model_copy(update={"embed": True}))
    ).embed


def test_request_round_trips() -> None:
    assert messages.Request.decode(messages.encode(REQUEST)) == REQUEST


@pytest.mark.parametrize("result", [SUCCEEDED, EMBEDDED, UNSURE, FAILED])
def test_results_and_replies_round_trip(
    result: messages.Succeeded | messages.Failed,
) -> None:
    assert messages.decode_result(messages.encode(result)) == result
    reply = messages.Reply(job="j1", result=result)
    assert messages.Reply.decode(messages.encode(reply)) == reply


def test_messages_are_ascii_whatever_they_hold() -> None:
    """SQS takes the characters of XML 1.0 only, and refuses U+FFFE for good."""
    odd = REQUEST.model_copy(update={"file_name": "L\u00f6we\ufffe\uffff\x00\x1f\U0001f600"})
    text = messages.encode(odd)
    assert text.isascii()
    assert text.isprintable()
    assert messages.Request.decode(text) == odd


def test_unknown_fields_are_ignored() -> None:
    newer = json.loads(messages.encode(REQUEST)) | {"colour": "blue"}
    assert messages.Request.decode(json.dumps(newer)) == REQUEST


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("", "Invalid JSON"),
        ("[]", "object"),
        ('{"job": "a", "key": "b"}', "sent_at: Field required"),
        ('{"job": 1, "key": "b", "sent_at": 0}', "job: Input should be a valid string"),
        ('{"v": 2, "job": "a", "key": "b", "sent_at": 0}', "v: Input should be 1"),
        ('{"job": "a", "key": "b", "sent_at": 0, "top": 0}', "top: Input should be greater"),
        ('{"job": "", "key": "b", "sent_at": 0}', "job: String should match"),
        ('{"job": "../a", "key": "b", "sent_at": 0}', "job: String should match"),
        (f'{{"job": "{"a" * 1100}", "key": "b", "sent_at": 0}}', "job: String should match"),
        ('{"job": "a", "key": "", "sent_at": 0}', "key: String should match"),
        ('{"job": "a", "key": "b\\r\\nc", "sent_at": 0}', "key: String should match"),
        ('{"job": "a", "key": "b", "sent_at": NaN}', "sent_at: Input should be a finite"),
        ('{"job": "a", "key": "b", "sent_at": 0, "expires_at": Infinity}', "expires_at: Input"),
    ],
)
def test_bad_message_gives_its_reason_and_body(raw: str, reason: str) -> None:
    with pytest.raises(BadMessage, match=reason) as caught:
        messages.Request.decode(raw)
    assert caught.value.raw == raw


def test_claim_of_a_job_that_nobody_can_have_is_unreadable() -> None:
    with pytest.raises(BadMessage, match="job: String should match"):
        messages.Claim.decode('{"job": "../a", "digest": "d", "at": 1}')


@pytest.mark.parametrize(
    ("file_name", "key"),
    [
        ("test_0.JPEG", "results/by-name/test_0"),
        ("a.b.jpg", "results/by-name/a.b"),
        ("plain", "results/by-name/plain"),
        (".hidden", "results/by-name/.hidden"),
        ("..png", "results/by-name/..png"),
        (".a.png", "results/by-name/.a"),
        ("../../secret/x.png", "results/by-name/x"),
        ("C:\\photos\\x.png", "results/by-name/x"),
    ],
)
def test_results_by_name_drop_folder_and_extension(file_name: str, key: str) -> None:
    assert names.by_name_key(file_name) == key


def test_reply_queue_names_are_valid_in_sqs() -> None:
    name = names.replies_queue("visionfleet", "ip-10-0-0-1.eu-west-1.compute" * 4, "0a1b2c3d")
    assert len(name) == 80
    assert name.endswith("-0a1b2c3d")
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
