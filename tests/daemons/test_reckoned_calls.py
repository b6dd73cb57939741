"""The calls of an image that costs are reckoned with, against those of real daemons."""

from collections import Counter
from pathlib import Path

import pytest

from testkit.aws.counting_proxy import counting_proxy
from testkit.aws.embedded import cloud
from testkit.classifier.daemon import classifier_daemon
from testkit.images.models import table_model
from testkit.images.pictures import encoded, numbered
from testkit.web.daemon import launched
from visionfleet.cost.bill import OF_AN_IMAGE

IMAGES = 20
_WRITES = {"S3 PUT", "S3 POST", "S3 LIST"}
_READS = {"S3 GET", "S3 HEAD"}


@pytest.mark.needs_torch
def test_images_one_by_one_make_the_reckoned_calls(tmp_path: Path) -> None:
    pictures = [numbered(number) for number in range(IMAGES)]
    model = table_model(tmp_path, pictures, [str(number) for number in range(IMAGES)], 0)
    with cloud(tmp_path) as aws, counting_proxy(aws.endpoint_url) as proxy:
        there = {**aws.environment, "VISIONFLEET_AWS__ENDPOINT_URL": proxy.url}
        (tmp_path / "worker").mkdir()
        settings = "classifier: {report_seconds: 300}\n"
        more = {**model, "VISIONFLEET_AWS__ENDPOINT_URL": proxy.url}
        with (
            launched(there, tmp_path) as web,
            classifier_daemon(aws, tmp_path / "worker", "w_0", settings, **more) as worker,
        ):
            web.process.wait_for_output("ready", 60)
            worker.wait_for_output("ready", 60)
            before = Counter(proxy.calls)
            for picture in pictures:
                files = {"file": ("a.png", encoded(picture))}
                assert web.post("/", files=files).status_code == 200
            made = Counter(proxy.calls) - before
    per_image = {
        "s3_write": sum(made[name] for name in _WRITES) / IMAGES,
        "s3_read": sum(made[name] for name in _READS) / IMAGES,
        "sqs": sum(count for name, count in made.items() if name.startswith("SQS")) / IMAGES,
    }
    assert per_image["s3_write"] == pytest.approx(OF_AN_IMAGE.s3_write, rel=0.15), made
    assert per_image["s3_read"] == pytest.approx(OF_AN_IMAGE.s3_read, rel=0.5), made
    assert per_image["sqs"] == pytest.approx(OF_AN_IMAGE.sqs, rel=0.35), made
