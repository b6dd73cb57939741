"""On a card, people say what the image shows where the answer is wrong, or not sure."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from testkit.aws.embedded import BUCKETS, Cloud
from testkit.classifier.stand_in import stand_in
from testkit.images.pictures import encoded, numbered
from testkit.web.browser import picture, violations
from testkit.web.daemon import Web, web_daemon
from testkit.web.fleet_status import fleet_status
from testkit.web.model_description import model_description

TULIP = encoded(numbered(7))
KEPT = "Kept: it shows {}. The image is kept as well, to learn from."


@pytest.fixture
def workers(aws: Cloud) -> Iterator[None]:
    with stand_in(aws):
        yield


@pytest.fixture
def model(aws: Cloud) -> None:
    """A worker has told its labels, and the scaler its status."""
    told = model_description(["red tulip", "rose", "tench"], time.time())
    written = {"fleet/model.json": told, "fleet/status.json": fleet_status(time.time())}
    for key, body in written.items():
        aws.s3.put_object(Bucket=BUCKETS[1], Key=key, Body=json.dumps(body).encode())


def answered(page: Page) -> Locator:
    page.set_input_files("#files", [picture("tulip.png", TULIP)])
    card = page.locator(".card.done")
    expect(card).to_have_count(1)
    return card


def corrected(card: Locator, label: str) -> None:
    card.get_by_role("button", name="Correct this answer").click()
    card.get_by_label("What the image shows").fill(label)
    card.get_by_role("button", name="Keep").click()


def kept_in(aws: Cloud) -> dict[str, str]:
    """Labels by job, as the buckets have them."""
    found = aws.s3.list_objects_v2(Bucket=BUCKETS[1], Prefix="corrections/").get("Contents", ())
    bodies = (json.loads(aws.object(one["Key"]) or b"{}") for one in found)
    return {body["job"]: body["label"] for body in bodies}


def test_label_is_corrected_by_keyboard(page: Page, aws: Cloud, workers: None, model: None) -> None:
    page.reload()
    card = answered(page)
    before = kept_in(aws)
    expect(page.locator("#known-labels option")).to_have_count(3)
    page.get_by_role("button", name="Clear").focus()
    page.keyboard.press("Tab")
    expect(card.get_by_role("button", name="Correct this answer")).to_be_focused()
    page.keyboard.press("Enter")
    label = card.get_by_label("What the image shows")
    expect(label).to_be_focused()
    assert label.evaluate("input => [...input.list.options].map((one) => one.value)") == [
        *("red tulip", "rose", "tench")
    ]
    page.keyboard.type(" red tulip ")
    assert violations(page) == []
    page.keyboard.press("Enter")
    expect(card.get_by_role("status")).to_have_text(KEPT.format("red tulip"))
    expect(card.get_by_role("button", name="Change")).to_be_focused()
    expect(label).to_be_hidden()
    assert [new for job, new in kept_in(aws).items() if job not in before] == ["red tulip"]


def test_correction_can_be_changed_or_left(page: Page, aws: Cloud, workers: None) -> None:
    card = answered(page)
    corrected(card, "rose")
    expect(card.get_by_role("status")).to_have_text(KEPT.format("rose"))
    card.get_by_role("button", name="Change").click()
    label = card.get_by_label("What the image shows")
    expect(label).to_have_value("rose")
    label.fill("my own word")
    label.press("Escape")
    expect(label).to_be_hidden()
    expect(card.get_by_role("status")).to_have_text(KEPT.format("rose"))
    card.get_by_role("button", name="Change").click()
    card.get_by_role("button", name="Cancel").click()
    expect(card.get_by_role("button", name="Change")).to_be_focused()
    assert "my own word" not in kept_in(aws).values()
    card.get_by_role("button", name="Change").click()
    label.fill("my own word")
    card.get_by_role("button", name="Keep").click()
    expect(card.get_by_role("status")).to_have_text(KEPT.format("my own word"))
    assert "my own word" in kept_in(aws).values()


def test_correction_that_is_refused_stays_to_be_sent(page: Page, aws: Cloud, workers: None) -> None:
    def refuse(route: Route) -> None:
        body = {"code": "try_later", "detail": "the correction cannot be kept now"}
        route.fulfill(status=503, json=body)

    card = answered(page)
    page.route("**/label", refuse)
    corrected(card, "rose")
    expect(card.get_by_role("status")).to_contain_text("storage behind the service does not answer")
    expect(card.get_by_label("What the image shows")).to_have_value("rose")
    page.unroute("**/label")
    page.route("**/label", lambda route: route.abort())
    card.get_by_role("button", name="Keep").click()
    expect(card.get_by_role("status")).to_have_text("The service cannot be reached.")
    page.unroute("**/label")
    card.get_by_role("button", name="Keep").click()
    expect(card.get_by_role("status")).to_have_text(KEPT.format("rose"))


def test_correction_tells_that_the_image_is_gone(page: Page, aws: Cloud, workers: None) -> None:
    card = answered(page)
    for one in aws.s3.list_objects_v2(Bucket=BUCKETS[0], Prefix="images/")["Contents"]:
        aws.s3.delete_object(Bucket=BUCKETS[0], Key=one["Key"])
    corrected(card, "rose")
    expect(card.get_by_role("status")).to_have_text(
        "Kept: it shows rose. The image itself is deleted already."
    )


def test_only_answers_can_be_corrected(page: Page, aws: Cloud) -> None:
    with stand_in(aws, fails=True):
        page.set_input_files("#files", [picture("tulip.png", TULIP)])
        expect(page.locator(".card.failed")).to_have_count(1)
    expect(page.get_by_role("button", name="Correct this answer")).to_have_count(0)


def test_blank_labels_are_not_sent(page: Page, web: Web, workers: None) -> None:
    card = answered(page)
    asked = list[str]()
    page.on("request", lambda request: asked.append(request.url))
    corrected(card, "  ")
    expect(card.get_by_label("What the image shows")).to_be_focused()
    assert [url for url in asked if url.endswith("/label")] == []


def test_correction_waits_for_a_key_below_a_prefix(
    page: Page, aws: Cloud, workers: None, tmp_path: Path
) -> None:
    def door(route: Route) -> None:
        if route.request.headers.get("authorization") == "Bearer right":
            route.continue_()
        else:
            route.fulfill(status=401, json={"code": "no_key", "detail": "a key is needed"})

    with web_daemon(aws, tmp_path, WEB__PUBLIC_PATH="/vision") as below:
        page.set_viewport_size({"width": 360, "height": 800})
        page.goto(f"{below.url}/vision/")
        card = answered(page)
        page.route("**/vision/v1/**", door)
        corrected(card, "rose")
        page.get_by_label("This service asks for an API key").fill("right")
        page.keyboard.press("Enter")
        expect(card.get_by_role("status")).to_have_text(KEPT.format("rose"))
        assert page.evaluate("document.documentElement.scrollWidth") == 360
