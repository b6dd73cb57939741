"""Messages and objects of an older release: this one reads and writes the same.

recorded.json was made by running that release; testkit/contract/recorder.py tells the command.
"""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from testkit.contract.recorded import recorded
from testkit.images.pictures import encoded, numbered
from visionfleet.aws.s3 import file_name_metadata
from visionfleet.contract import documents, messages, names

DECODERS: dict[str, Callable[[str], Any]] = {
    "request": messages.Request.decode,
    "reply": messages.Reply.decode,
    "result": messages.decode_result,
    "cached result": messages.CachedResult.decode,
    "claim": messages.Claim.decode,
    "worker report": messages.WorkerReport.decode,
    "fleet status": messages.FleetStatus.decode,
    "lease": messages.Lease.decode,
    "launch ledger": messages.LaunchLedger.decode,
}


def holds(new: Any, old: Any) -> bool:
    """Tell whether all fields of the old value stand in the new one, which may have more."""
    if isinstance(old, dict):
        return isinstance(new, dict) and all(k in new and holds(new[k], old[k]) for k in old)
    if isinstance(old, list):
        same = isinstance(new, list) and len(new) == len(old)
        return same and all(map(holds, new, old))
    return type(new) is type(old) and bool(new == old)


def bodies(kind: str) -> list[Any]:
    return [json.loads(record["body"]) for record in recorded(kind)]


def test_the_recording_holds_every_kind_of_message() -> None:
    assert all(recorded(kind) for kind in DECODERS)
    assert {result["status"] for result in bodies("result")} == {"succeeded", "failed"}
    assert any(result.get("label", "") is None for result in bodies("result")), "low confidence"
    states = {report["state"] for report in bodies("worker report")}
    assert states == {"booting", "idle", "busy", "draining", "drained", "stopped"}


@pytest.mark.parametrize("kind", DECODERS)
def test_recorded_messages_keep_every_field(kind: str) -> None:
    for record in recorded(kind):
        again = messages.encode(DECODERS[kind](record["body"]))
        assert again == record["body"] or holds(json.loads(again), json.loads(record["body"]))


def test_a_lost_or_changed_field_would_be_noticed() -> None:
    old = {"a": 1, "b": [{"c": 2.0}]}
    assert holds({"a": 1, "b": [{"c": 2.0, "new": 3}], "more": None}, old)
    for new in ({"a": 1}, {"a": 1, "b": []}, {"a": 1, "b": [{}]}, {"a": 1.0, "b": [{"c": 2.0}]}):
        assert not holds(new, old)


def test_images_have_the_recorded_keys_and_metadata() -> None:
    images = {record["key"]: record["metadata"] for record in recorded("image")}
    requests = bodies("request")
    assert {request["key"] for request in requests} == images.keys()
    for request in requests:
        assert names.image_key(request["job"]) == request["key"]
        assert file_name_metadata(request["file_name"]) == images[request["key"]]


def test_results_have_the_recorded_keys() -> None:
    for record in recorded("result"):
        assert names.result_key(json.loads(record["body"])["job"]) == record["key"]
    labels = {r["file_name"]: r["top"][0]["label"] for r in bodies("result") if r.get("top")}
    by_name = {names.by_name_key(name): label for name, label in labels.items() if name}
    assert by_name == {record["key"]: record["body"] for record in recorded("by name")}
    (cached,) = recorded("cached result")
    digest = hashlib.sha256(encoded(numbered(5))).hexdigest()
    fingerprint = json.loads(cached["body"])["result"]["model"]["fingerprint"]
    assert names.by_content_key(digest, fingerprint) == cached["key"]


def test_claims_have_the_recorded_keys() -> None:
    (claim,) = recorded("claim")
    name = claim["key"].removeprefix("idempotency/").removesuffix(".json")
    assert names.idempotency_key(name) == claim["key"]


def test_reports_and_drain_requests_have_the_recorded_keys() -> None:
    for record in recorded("worker report"):
        worker = json.loads(record["body"])["worker"]
        assert names.worker_key(worker) == record["key"]
        assert names.reporting_worker(record["key"]) == worker
    (drain,) = recorded("drain")
    worker = names.draining_worker(drain["key"])
    assert documents.drain_request(worker or "").decode(drain["body"].encode()) > 0
    assert worker in {report["worker"] for report in bodies("worker report")}
    assert names.drain_key(worker or "") == drain["key"]


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("fleet status", names.STATUS_KEY),
        ("lease", names.LEASE_KEY),
        ("launch ledger", names.LAUNCHES_KEY),
    ],
)
def test_fleet_objects_have_the_recorded_keys(kind: str, key: str) -> None:
    assert {record["key"] for record in recorded(kind)} == {key}


def test_queues_have_the_recorded_names_and_tags() -> None:
    queues = {kind: {r["queue"] for r in recorded(kind)} for kind in ("request", "dead letter")}
    assert queues["request"] == {names.requests_queue("visionfleet")}
    assert queues["dead letter"] == {names.dead_queue("visionfleet")}
    (own,) = recorded("reply queue")
    assert {r["queue"] for r in recorded("reply")} == {own["queue"]}
    assert own["queue"].startswith(names.replies_prefix("visionfleet"))
    heartbeat = own["tags"].pop(names.HEARTBEAT_TAG)
    assert own["tags"] == names.REPLIES_TAGS
    assert heartbeat.isdigit()
