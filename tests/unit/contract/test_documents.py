"""One policy for documents in S3 that cannot be read, whatever lies there."""

import pytest

from visionfleet.contract import documents
from visionfleet.contract.documents import Document
from visionfleet.contract.messages import FleetStatus, encode
from visionfleet.errors import BadMessage

DOCUMENTS: list[Document[object]] = [
    documents.STATUS,
    documents.LEADER_LEASE,
    documents.LAUNCH_LEDGER,
    documents.result("01j"),
    documents.cached_result("0" * 64, "f"),
    documents.claim("k"),
    documents.worker_report("w"),
    documents.drain_request("w"),
]
RUBBISH = {
    "empty": b"",
    "white space": b" \n",
    "not UTF-8": b"\xff\xfe\x00",
    "UTF-8 cut off": b'{"v": 1, "job": "\xc3',
    "not JSON": b"<html>",
    "JSON cut off": b'{"v": 1, "at": 1',
    "deep nesting": b"[" * 100_000,
    "another version": b'{"v": 2}',
    "null": b"null",
    "a list": b"[]",
    "a text": b'"2026"',
    "a truth": b"true",
    "zeros": bytes(64),
    "not a number": b"nan",
    "no end": b"inf",
    "an endless number": b"1" + b"0" * 400,
    "a lone surrogate": b'{"v": 1, "holder": "\\ud800"}',
}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.key)
@pytest.mark.parametrize("body", RUBBISH.values(), ids=RUBBISH)
def test_rubbish_is_a_bad_message(document: Document[object], body: bytes) -> None:
    with pytest.raises(BadMessage) as caught:
        document.decode(body)
    assert isinstance(caught.value.raw, str)


def test_drain_request_is_unix_seconds() -> None:
    assert documents.drain_request("w").decode(b"1700000000.25") == 1_700_000_000.25


def test_status_is_what_was_written() -> None:
    status = FleetStatus(
        at=1.0,
        visible=2,
        in_flight=3,
        minimum=0,
        maximum=4,
        states={"idle": 1},
        decision="hold",
        decided_at=1.0,
    )
    assert documents.STATUS.decode(encode(status).encode()) == status


def test_keys_are_those_of_the_contract() -> None:
    assert [document.key for document in DOCUMENTS] == [
        "fleet/status.json",
        "fleet/lease.json",
        "fleet/launches.json",
        "results/01j.json",
        f"results/by-content/{'0' * 64}/f.json",
        "idempotency/k.json",
        "fleet/workers/w.json",
        "fleet/drain/w",
    ]
