"""Forms for uploads end when S3's clock says so, whatever this host takes for the time."""

import base64
import json
import time
from datetime import UTC, datetime, timedelta

import pytest

from visionfleet.aws.clients import ClientFactory
from visionfleet.aws.s3 import Store


@pytest.mark.parametrize("off", [-3600.0, 0.0, 3600.0])
def test_form_ends_by_the_time_of_s3(off: float, monkeypatch: pytest.MonkeyPatch) -> None:
    true = time.time
    monkeypatch.setattr("time.time", lambda: true() + off)

    def now(remove_tzinfo: bool = True) -> datetime:
        told = datetime.now(UTC) + timedelta(seconds=off)
        return told.replace(tzinfo=None) if remove_tzinfo else told

    for module in ("signers", "auth"):
        monkeypatch.setattr(f"botocore.{module}.get_current_datetime", now)
    factory = ClientFactory(
        region="eu-west-1",
        endpoint_url="http://127.0.0.1:1",
        read_timeout_seconds=1.0,
        max_attempts=1,
        placeholder_credentials=True,
    )
    ends_at = true() + 900
    form = Store(factory.client("s3"), "photos").presigned_post("k", "image/png", 9, ends_at)
    policy = json.loads(base64.b64decode(form.fields["policy"]))
    told = datetime.fromisoformat(policy["expiration"]).timestamp()
    assert told == pytest.approx(ends_at, abs=2)
