"""The page while the fleet scales from zero and back."""

import re

import pytest
from playwright.sync_api import BrowserContext, expect

from testkit import ROOT
from testkit.images.pictures import encoded, numbered, photo
from testkit.processes.stack import stack
from testkit.web.browser import picture

pytestmark = pytest.mark.needs_torch

ESPRESSO = ROOT / "models" / "espresso.jpg"


def test_page_shows_the_fleet_scaling_from_zero_and_back(context: BrowserContext) -> None:
    page = context.new_page()
    with stack() as running:
        page.goto(running.url)
        expect(page.locator("#crew")).to_have_text("No worker runs, and none costs anything.")
        files = [picture("photo.jpg", ESPRESSO.read_bytes(), "image/jpeg")]
        files += [picture("noise.png", encoded(numbered(1))), picture("cut.jpg", photo()[:-9000])]
        page.set_input_files("#files", files)
        expect(page.locator("#starting")).to_contain_text("start")
        expect(page.locator("#decisions")).to_contain_text("Launch")
        expect(page.locator(".card.done")).to_have_count(2, timeout=60_000)
        expect(page.locator(".card.failed .state")).to_have_text(
            "This image is broken: its content cannot be read.", timeout=30_000
        )
        states = page.locator(".card.done .state")
        expect(states).to_have_text(["espresso", "Not sure what this is. The best guesses:"])
        expect(page.locator(".card.done .bars li")).to_have_count(10)
        # At rest every step is on the ground line, at 310.
        expect(page.locator("#chart .workers")).to_have_attribute("d", re.compile(r"V(?!310)\d"))
        expect(page.locator("#starting")).to_be_hidden()
        expect(page.locator("#pulse")).to_have_text("asleep, no workers", timeout=45_000)
        expect(page.locator("#decisions")).to_contain_text("Terminate")
