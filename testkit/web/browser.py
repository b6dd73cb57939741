"""A headless Chromium for tests, what it finds wrong with a page, and files for it."""

import base64
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from axe_core_python.sync_playwright import Axe
from playwright.sync_api import Browser, FilePayload, Page, sync_playwright

# Chromium is to talk to the loopback only.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_TRANSFER = """([kind, files]) => {
  const transfer = new DataTransfer();
  for (const {name, mimeType, data} of files) {
    const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
    transfer.items.add(new File([bytes], name, {type: mimeType}));
  }
  const options = {bubbles: true, cancelable: true, dataTransfer: transfer};
  document.body.dispatchEvent(kind === "paste"
    ? new ClipboardEvent("paste", {bubbles: true, clipboardData: transfer})
    : new DragEvent(kind, options));
}"""


def chromium_path() -> str:
    """Find Chromium; without it a test skips at home and fails in CI."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI needs Chromium: apt-get install chromium")
        pytest.skip("no Chromium; on Debian: sudo apt-get install chromium")
    return found


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run a Chromium for the length of a with block."""
    path = chromium_path()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


def picture(name: str, data: bytes, mime_type: str = "image/png") -> FilePayload:
    """Make a file that a person would choose."""
    return FilePayload(name=name, mimeType=mime_type, buffer=data)


def transfer(page: Page, kind: str, *files: FilePayload) -> None:
    """Paste, drag over, or drop files, as `kind` says."""
    given = [
        {**file, "buffer": "", "data": base64.b64encode(file["buffer"]).decode()} for file in files
    ]
    page.evaluate(_TRANSFER, [kind, given])


def violations(page: Page) -> list[str]:
    """What axe finds wrong with the page as it is shown."""
    found: list[dict[str, Any]] = Axe().run(page)["violations"]
    return [f"{one['id']}: {node['html']}" for one in found for node in one["nodes"]]
