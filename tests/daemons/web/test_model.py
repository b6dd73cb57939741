"""What the web daemon tells of the model that the workers have."""

import json
from collections.abc import Iterator

import pytest

from testkit.aws.embedded import BUCKETS, Cloud, emptied
from testkit.web.daemon import Web, web_daemon
from testkit.web.model_description import model_description

TOLD = model_description(["tench", "goldfish"], told_at=1_700_000_000.5)


@pytest.fixture
def web(running_aws: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    with web_daemon(emptied(running_aws), tmp_path_factory.mktemp("web")) as made:
        yield made


def test_model_is_unknown_until_a_worker_has_told(web: Web, running_aws: Cloud) -> None:
    answer = web.get("/v1/model")
    assert (answer.status_code, answer.json()["code"]) == (404, "no_model")
    assert "parameters" not in web.get("/v2/models/default").json()


def test_model_is_told_as_the_worker_says(web: Web, running_aws: Cloud) -> None:
    body = json.dumps({**TOLD, "of_a_later_version": 1})
    running_aws.s3.put_object(Bucket=BUCKETS[1], Key="fleet/model.json", Body=body)
    answer = web.get("/v1/model")
    assert (answer.status_code, answer.json()) == (200, TOLD)
    found = web.get("/v2/models/efficientnet_lite0").json()["parameters"]
    assert found == {name: value for name, value in TOLD.items() if name != "v"}


def test_unreadable_description_counts_as_none(web: Web, running_aws: Cloud) -> None:
    running_aws.s3.put_object(Bucket=BUCKETS[1], Key="fleet/model.json", Body=b"{half")
    assert web.get("/v1/model").json()["code"] == "no_model"
