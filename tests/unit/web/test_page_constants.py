"""What the page's scripts share with the rest of the product."""

import re

from testkit import ROOT
from visionfleet.contract.documents import SCALER_SILENT_SECONDS

STATIC = ROOT / "lib" / "visionfleet" / "web" / "routes" / "page" / "static"


def test_the_page_agrees_when_a_scaler_is_silent() -> None:
    script = (STATIC / "page-fleet.js").read_text()
    (seconds,) = re.findall(r"SILENT_SECONDS = (\d+);", script)
    assert float(seconds) == SCALER_SILENT_SECONDS


def test_page_names_nothing_from_the_root() -> None:
    """A proxy may publish it below a path."""
    for file in STATIC.iterdir():
        if file.suffix in {".html", ".js", ".css"}:
            assert re.findall(r"""["'`(]/(?:v\d|page)[\w./-]*""", file.read_text()) == [], file.name
