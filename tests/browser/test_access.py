"""The page for everybody: keyboard, screen reader, contrast, narrow screens, no foreign content."""

import json
import time
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from testkit.aws.embedded import BUCKETS, Cloud
from testkit.classifier.stand_in import stand_in
from testkit.images.pictures import encoded, numbered, photo
from testkit.web.browser import picture, violations
from testkit.web.daemon import Web
from testkit.web.fleet_status import fleet_status

WIDTHS = [360, 820, 1440]


def test_page_works_by_keyboard_alone(page: Page, aws: Cloud) -> None:
    # Playwright catches choosers only from a moment after the first listener came: so, early.
    page.on("filechooser", lambda chooser: None)
    with stand_in(aws):
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the images")).to_be_focused()
        page.keyboard.press("Tab")
        expect(page.locator("#files")).to_be_focused()
        assert page.locator("label.button").evaluate("it => getComputedStyle(it).outlineStyle") == (
            "solid"
        )
        with page.expect_file_chooser() as chooser:
            page.keyboard.press("Enter")
        chooser.value.set_files([picture("cat.png", encoded(numbered(1)))])
        expect(page.locator(".card.done")).to_have_count(1)
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Clear")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".card")).to_have_count(0)
    expect(page.locator("#files")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Copy")).to_be_focused()


BARS_BELOW_OR_BESIDE = """() => {
  document.querySelector(".card.done .state").textContent = "cat";
  const thumb = document.querySelector(".card.done .thumb").getBoundingClientRect();
  const bars = document.querySelector(".card.done .bars").getBoundingClientRect();
  return bars.top >= thumb.bottom || bars.left >= thumb.right;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_page_fits_narrow_screens_and_axe_finds_no_fault(
    browser: Browser,
    aws: Cloud,
    web: Web,
    tmp_path: Path,
    width: int,
    scheme: Literal["light", "dark"],
) -> None:
    status = json.dumps(fleet_status(time.time(), alarms=["no capacity in us-east-1a"])).encode()
    aws.s3.put_object(Bucket=BUCKETS[1], Key="fleet/status.json", Body=status)
    context = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme, reduced_motion="reduce"
    )
    page = context.new_page()
    page.goto(web.url)
    files = [picture("a-name-" * 20 + ".jpg", photo(), "image/jpeg"), picture("b.png", b"text")]
    with stand_in(aws):
        page.set_input_files("#files", files)
        expect(page.locator(".card.done, .card.failed")).to_have_count(2)
    expect(page.locator("#chart .mark")).to_have_count(4)
    page.locator("#key-form").evaluate("form => { form.hidden = false; }")
    page.get_by_role("button", name="Correct this answer").click()
    page.screenshot(path=tmp_path / f"{scheme}-{width}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate(BARS_BELOW_OR_BESIDE)
    assert violations(page) == []
    assert page.evaluate("document.getAnimations().length") == 0, "reduced motion"
    context.close()


def test_page_loads_nothing_foreign_and_runs_nothing_inline(
    context: BrowserContext, web: Web
) -> None:
    page = context.new_page()
    asked = list[str]()
    page.on("request", lambda request: asked.append(request.url))
    page.goto(web.url)
    expect(page.locator("#curl")).to_contain_text(web.url)
    assert asked
    assert [url for url in asked if not url.startswith(web.url)] == []
    page.evaluate(
        """() => {
          const script = document.createElement("script");
          script.textContent = "document.title = 'run'";
          document.body.append(script);
        }"""
    )
    assert page.title() == "visionfleet"
