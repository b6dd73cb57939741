"""What the page's scripts share with the rest of the product."""

import re

from testkit import ROOT
from visionfleet.contract.documents import SCALER_SILENT_SECONDS

STATIC = ROOT / "lib" / "visionfleet" / "web" / "routes" / "page" / "static"


def test_the_page_agrees_when_a_scaler_is_silent() -> None:
    script = (STATIC / "page-fleet.js").read_text()
    (seconds,) = re.findall(r"SILENT_SECONDS = (\d+);", script)
    assert float(seconds) == SCALER_SILENT_SECONDS
