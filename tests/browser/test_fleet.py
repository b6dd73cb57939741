"""The page's live view of queue, workers and decisions."""

import json
import re
import time
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from testkit.aws.embedded import BUCKETS, Cloud
from testkit.classifier.stand_in import stand_in
from testkit.images.pictures import encoded, numbered
from testkit.processes.waiting import wait_until
from testkit.web.browser import picture
from testkit.web.fleet_status import LAUNCH, fleet_status

WriteStatus = Callable[..., None]


@pytest.fixture
def write_status(aws: Cloud) -> WriteStatus:
    """Writes what the scaler would."""

    def write(**fields: object) -> None:
        body = json.dumps(fleet_status(time.time(), **fields)).encode()
        aws.s3.put_object(Bucket=BUCKETS[1], Key="fleet/status.json", Body=body)

    return write


def test_page_says_that_there_is_no_status_yet(page: Page) -> None:
    expect(page.locator("#fleet-empty")).to_contain_text("No word from the scaler yet")
    expect(page.locator("#fleet-body")).to_be_hidden()


def test_page_shows_queue_workers_and_decisions(page: Page, write_status: WriteStatus) -> None:
    write_status()
    expect(page.locator("#visible")).to_have_text("23")
    expect(page.locator("#in-flight")).to_have_text("16")
    expect(page.locator("#workers")).to_have_text("6")
    expect(page.locator("#crew li")).to_have_text(["4 busy", "1 idle", "1 booting"])
    expect(page.locator("#crew .busy i")).to_have_count(4)
    expect(page.locator("#decisions li").last).to_contain_text("20 min ago")
    expect(page.locator("#decisions li").last).to_contain_text(LAUNCH.removeprefix("l"))
    expect(page.locator("#chart .mark")).to_have_count(4)
    expect(page.locator("#chart-text")).to_contain_text("at most 76 images")
    page.get_by_role("radio", name="5 min", exact=True).check(force=True)
    expect(page.locator("#chart .mark")).to_have_count(1)


def test_ages_are_those_of_the_answer_whatever_the_clocks(page: Page) -> None:
    told_at = time.time() - 7200  # the clocks of web daemon and browser are two hours ahead of S3's
    status = {**fleet_status(told_at), "workers": [], "now": told_at + 3}
    page.route("**/v1/fleet", lambda route: route.fulfill(json=status))
    page.reload()
    expect(page.locator("#freshness")).to_have_text("live")
    expect(page.locator("#decisions li").last).to_contain_text("20 min ago")


def period(name: str, **fields: object) -> dict[str, object]:
    usual = {"images": 1000, "worker_seconds": 5400.0, "calls": 9000, "worker_dollars": 0.05}
    usual |= {"call_dollars": 0.01, "dollars": 0.06, "dollars_per_thousand_images": 0.06}
    return {"period": name, **usual, "unpriced": [], **fields}


def test_page_shows_what_the_fleet_costs(page: Page, write_status: WriteStatus) -> None:
    write_status()
    expect(page.locator("#visible")).to_have_text("23")
    expect(page.locator("#cost")).to_be_hidden()
    month = period("last 30 days", dollars=2.5, unpriced=["m9.huge, spot"])
    month["dollars_per_thousand_images"] = None
    periods = [period("today"), period("yesterday"), month]
    write_status(cost={"prices": "us-east-1, 2026-11-29", "periods": periods})
    expect(page.locator("#costs li").first).to_have_text(
        "Today0.0600 dollars for 1000 images in 1.50 worker-hours; "
        "0.0600 dollars per thousand images"
    )
    expect(page.locator("#costs li").last).to_have_text(
        "Last 30 daysmore than 2.50 dollars for 1000 images in 1.50 worker-hours"
    )
    expect(page.locator("#prices")).to_have_text(
        "At prices of us-east-1, 2026-11-29. No price is known of: m9.huge, spot."
    )
    alone = period("today", worker_dollars=None, unpriced=["workers that are not on EC2"])
    write_status(cost={"prices": "us-east-1, 2026-11-29", "periods": [alone]})
    expect(page.locator("#costs li")).to_have_count(1)
    expect(page.locator("#costs li")).to_have_text("Today1000 images in 1.50 worker-hours")
    expect(page.locator("#prices")).to_have_text(
        "No price is known of: workers that are not on EC2."
    )


def test_page_shows_which_market_and_why(page: Page, write_status: WriteStatus) -> None:
    write_status()
    expect(page.locator("#visible")).to_have_text("23")
    expect(page.locator("#markets")).to_be_hidden()
    why = "c7i.large in subnet-1, spot: InsufficientInstanceCapacity <b>"
    write_status(markets={"spot": 1, "on-demand": 5}, market_reason=why)
    expect(page.locator("#markets")).to_have_text(f"5 on-demand (83 %), 1 spot (17 %); {why}")
    write_status(markets={"spot": 2})
    expect(page.locator("#markets")).to_have_text("2 spot (100 %)")
    write_status(markets={}, market_reason=why, states={})
    expect(page.locator("#markets")).to_have_text(f"none is bought; {why}")


def test_chart_follows_the_fleet(page: Page, write_status: WriteStatus) -> None:
    write_status()
    path = page.locator("#chart .workers")
    # Lower is more on the page; the last step up to now is of all six workers, then of none.
    expect(path).to_have_attribute("d", re.compile(r"V232\.0H628\.0V310$"))
    write_status(states={}, visible=0, in_flight=0, decision="terminate 6: drained or dead")
    expect(page.locator("#pulse")).to_have_text("asleep, no workers")
    expect(page.locator("#crew")).to_have_text("No worker runs, and none costs anything.")
    expect(path).to_have_attribute("d", re.compile(r"V310\.0H628\.0V310$"))
    expect(page.locator("#decision")).to_have_text("Terminate 6: drained or dead.")


def test_page_says_how_long_the_first_worker_takes(
    page: Page, write_status: WriteStatus, aws: Cloud
) -> None:
    nobody = {"visible": 1, "in_flight": 0, "boot_seconds": 7.6}
    write_status(states={}, **nobody)
    with stand_in(aws, held=True) as workers:
        page.set_input_files("#files", [picture("cat.png", encoded(numbered(1)))])
        expect(page.locator("#starting")).to_have_text(
            "There is no worker yet; one is being started. That usually takes about 7.6 s."
        )
        write_status(states={"booting": 2}, **nobody)
        expect(page.locator("#starting")).to_contain_text("2 workers are starting.")
        workers.gate.set()
        expect(page.locator(".card.done")).to_have_count(1)
        expect(page.locator("#starting")).to_be_hidden()


def test_page_says_that_the_scaler_is_silent(page: Page, write_status: WriteStatus) -> None:
    write_status(at=time.time() - 600)
    expect(page.locator("#freshness")).to_have_text("the scaler was last heard of 10 min ago")


def test_page_polls_only_while_it_is_visible(page: Page, write_status: WriteStatus) -> None:
    write_status()
    asked = list[str]()
    page.on("request", lambda request: asked.append(request.url))
    wait_until(lambda: passed(page) and len(asked) >= 2, 15, "the page asks")
    see(page, "hidden")
    page.wait_for_timeout(300)  # what is under way ends
    asked.clear()
    page.wait_for_timeout(3000)  # three times as long as its pauses
    assert asked == []
    see(page, "visible")
    wait_until(lambda: passed(page) and asked, 15, "the page asks again")


def passed(page: Page) -> bool:
    """Let the page run for a moment: its events come to us in its own waits only."""
    page.wait_for_timeout(50)
    return True


def see(page: Page, state: str) -> None:
    page.evaluate(
        """(state) => {
          Object.defineProperty(document, "visibilityState", {value: state, configurable: true});
          document.dispatchEvent(new Event("visibilitychange"));
        }""",
        state,
    )
