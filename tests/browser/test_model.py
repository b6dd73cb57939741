"""What the page says of the model."""

import json
import time

import pytest
from playwright.sync_api import Page, Route, expect

from testkit.aws.embedded import BUCKETS, Cloud
from testkit.processes.waiting import wait_until
from testkit.web.daemon import Web
from testkit.web.fleet_status import fleet_status
from testkit.web.model_description import model_description

LABELS = ["tench", "goldfish", *(f"thing {number}" for number in range(250))]


@pytest.fixture
def told(aws: Cloud) -> None:
    """A worker has told its model, and the scaler its status."""
    model = model_description(LABELS, time.time())
    written = {"fleet/model.json": model, "fleet/status.json": fleet_status(time.time())}
    for key, body in written.items():
        aws.s3.put_object(Bucket=BUCKETS[1], Key=key, Body=json.dumps(body).encode())


def test_page_tells_what_the_model_knows(told: None, page: Page) -> None:
    expect(page.locator("#model-name")).to_have_text("The model knows 252 classes")
    page.locator("#model-name").click()
    expect(page.locator("#model-detail")).to_contain_text("as 224 x 224 pixels")
    expect(page.locator("#model-detail")).to_contain_text("below 75.0 %, it is not sure")
    expect(page.locator("#model-labels li")).to_have_count(200)
    page.get_by_label("Find a label").fill("GOLD")
    expect(page.locator("#model-labels li")).to_have_text(["goldfish"])
    expect(page.locator("#model-found")).to_have_text("1 label")


def test_model_is_asked_for_until_it_is_told(told: None, page: Page) -> None:
    workers = [{"worker": "w0", "model": {"name": "m", "fingerprint": "0123"}}]
    status = fleet_status(time.time(), workers=workers)
    failures = [503, 404]

    def answer(route: Route) -> None:
        if failures:
            route.fulfill(status=failures.pop(), json={"code": "try_later", "detail": "not now"})
        else:
            route.continue_()

    page.route("**/v1/fleet", lambda route: route.fulfill(json=status))
    page.route("**/v1/model", answer)
    page.reload()
    expect(page.locator("#model-name")).to_have_text("The model knows 252 classes")
    assert failures == []


def test_page_is_silent_while_no_model_is_known(page: Page, web: Web) -> None:
    wait_until(lambda: web.get("/v1/model").status_code == 404, message="the last one is forgotten")
    page.reload()
    expect(page.locator("#fleet-empty")).to_be_visible()
    expect(page.locator("#model")).to_be_hidden()
