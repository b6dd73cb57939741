"""Spot interruption notices, read from an instance metadata service over HTTP."""

import itertools
from collections.abc import Iterator

import pytest
from urllib3 import HTTPResponse

from testkit.aws.fakes import Clock
from testkit.aws.imds import INTERRUPTION, REBALANCE, ImdsServer, imds_server
from testkit.processes.ports import free_port
from visionfleet.aws import imds
from visionfleet.aws.imds import TOKEN_SECONDS
from visionfleet.classifier.spot import MOST_SECONDS, POLL_SECONDS, Interruptions
from visionfleet.errors import TryLater


@pytest.fixture
def service() -> Iterator[ImdsServer]:
    with imds_server() as made:
        yield made


@pytest.fixture
def clock() -> Clock:
    return Clock(1000.0)


@pytest.fixture
def interruptions(service: ImdsServer, clock: Clock) -> Interruptions:
    return Interruptions(imds.Metadata(service.url, clock), clock)


def notices(interruptions: Interruptions) -> list[tuple[str, str]]:
    return [(notice.kind, notice.sentence) for notice in interruptions.look()]


def test_no_notice_means_no_interruption(interruptions: Interruptions, service: ImdsServer) -> None:
    assert notices(interruptions) == []
    assert notices(interruptions) == []
    assert service.issued == 1, "one token serves many questions"
    assert service.refused == 0, "no question without a token"


def test_spot_interruption_is_reported_once(
    interruptions: Interruptions, service: ImdsServer
) -> None:
    service.tell(INTERRUPTION, action="terminate", time="2026-11-24T12:02:00Z")
    assert notices(interruptions) == [
        ("interruption", "spot interruption: terminate at 2026-11-24T12:02:00Z")
    ]
    assert notices(interruptions) == []


def test_rebalance_recommendation_is_reported_first(
    interruptions: Interruptions, service: ImdsServer
) -> None:
    service.tell(REBALANCE, noticeTime="2026-11-24T12:00:00Z")
    assert notices(interruptions) == [
        ("rebalance", "rebalance recommended at 2026-11-24T12:00:00Z")
    ]
    service.tell(INTERRUPTION, action="stop", time="2026-11-24T12:30:00Z")
    assert [kind for kind, _ in notices(interruptions)] == ["interruption"]


def test_imds_token_is_renewed_in_time(
    interruptions: Interruptions, service: ImdsServer, clock: Clock
) -> None:
    notices(interruptions)
    clock.now += TOKEN_SECONDS * 3 / 4
    notices(interruptions)
    assert (service.issued, service.refused) == (2, 0)


def test_refused_imds_token_is_replaced_at_once(
    interruptions: Interruptions, service: ImdsServer
) -> None:
    notices(interruptions)
    service.forget_tokens()
    service.tell(INTERRUPTION, action="terminate", time="soon")
    assert len(notices(interruptions)) == 1
    assert service.refused == 1


@pytest.mark.parametrize("status", [403, 500, 503])
def test_imds_errors_back_off_and_recover(
    interruptions: Interruptions, service: ImdsServer, clock: Clock, status: int
) -> None:
    service.status = status
    asked = []
    for _ in range(60):
        before = len(service.calls)
        assert notices(interruptions) == []
        asked += [clock.now] * (len(service.calls) > before)
        clock.now += POLL_SECONDS
    gaps = [later - earlier for earlier, later in itertools.pairwise(asked)]
    assert gaps[:3] == [10, 20, 40]
    assert max(gaps) == MOST_SECONDS, "a notice must leave most of its two minutes"
    service.status = None
    service.tell(INTERRUPTION, action="terminate", time="soon")
    clock.now += MOST_SECONDS
    assert len(notices(interruptions)) == 1
    service.documents.clear()
    before = len(service.calls)
    notices(interruptions)
    assert len(service.calls) > before, "after a success it is asked at every look again"


@pytest.mark.parametrize("body", [b"<html>a proxy</html>", b"[]", b"{}", b'"action"', b"\xff"])
def test_unknown_notices_drain_nobody(
    interruptions: Interruptions, service: ImdsServer, body: bytes
) -> None:
    service.documents[INTERRUPTION] = body
    assert notices(interruptions) == []


def test_broken_recommendation_does_not_hide_an_interruption(
    interruptions: Interruptions, service: ImdsServer
) -> None:
    service.documents[REBALANCE] = b"broken"
    service.tell(INTERRUPTION, action="terminate", time="soon")
    assert [kind for kind, _ in notices(interruptions)] == ["interruption"]


def test_missing_metadata_service_means_no_interruption(clock: Clock) -> None:
    nowhere = imds.Metadata(f"http://127.0.0.1:{free_port()}", clock)
    assert Interruptions(nowhere, clock).look() == []


def test_instance_reads_its_id(service: ImdsServer, clock: Clock) -> None:
    metadata = imds.Metadata(service.url, clock)
    with pytest.raises(TryLater, match="no id of an instance"):
        imds.instance_id(metadata)
    service.documents["/latest/meta-data/instance-id"] = b"i-0123456789abcdef0"
    assert imds.instance_id(metadata) == "i-0123456789abcdef0"
    service.documents["/latest/meta-data/instance-id"] = b"<html>a proxy</html>"
    with pytest.raises(TryLater):
        imds.instance_id(metadata)


@pytest.mark.parametrize("said", ["<p>login</p>\n", "é", "\0"])
def test_what_is_no_token_is_tried_again(
    said: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Something else may answer at that address, with letters that no header can have."""
    page = HTTPResponse(said.encode(), status=200)
    metadata = imds.Metadata("http://127.0.0.1:1", clock)
    monkeypatch.setattr(metadata, "_request", lambda *_: page)
    with pytest.raises(TryLater, match="metadata token"):
        imds.instance_id(metadata)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "http://169.254.169.254"),
        ({"AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE": "IPv6"}, "http://[fd00:ec2::254]"),
        ({"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1/"}, "http://127.0.0.1:1"),
    ],
)
def test_imds_endpoint_is_that_of_boto3(environment: dict[str, str], expected: str) -> None:
    assert imds.endpoint(environment) == expected
