"""One Chromium, one embedded AWS and one web daemon for all; workers are stand-ins."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from testkit.aws.embedded import BUCKETS, Cloud, cloud
from testkit.processes.waiting import wait_until
from testkit.web.browser import chromium
from testkit.web.daemon import Web, web_daemon


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=60_000)  # milliseconds; only a failure waits for so long
    with chromium() as made:
        yield made


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("browser")


@pytest.fixture(scope="session")
def aws(browser: Browser, folder: Path) -> Iterator[Cloud]:
    with cloud(folder) as made:
        yield made


@pytest.fixture(scope="session")
def web(aws: Cloud, folder: Path) -> Iterator[Web]:
    with web_daemon(aws, folder) as made:
        yield made


@pytest.fixture(autouse=True)
def nothing_told(aws: Cloud, web: Web) -> Iterator[None]:
    """Leave no fleet to the next test: its page would show it, for the web daemon keeps it a while.

    What is told of the model it keeps for longer.
    """
    yield
    for key in aws.keys("fleet/"):
        aws.s3.delete_object(Bucket=BUCKETS[1], Key=key)
    wait_until(lambda: web.get("/v1/fleet").status_code == 404)


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context(viewport={"width": 1280, "height": 900})
    yield made
    made.close()


@pytest.fixture
def page(context: BrowserContext, web: Web) -> Iterator[Page]:
    """The page of the web daemon; what it throws, and what its policy refuses, fails the test."""
    made, faults = context.new_page(), list[str]()
    made.on("pageerror", lambda error: faults.append(str(error)))
    made.on("console", lambda line: faults.append(line.text))
    made.goto(web.url)
    yield made
    # An answer of 404 or 415 is noted by the browser itself.
    assert [fault for fault in faults if not fault.startswith("Failed to load resource")] == []
