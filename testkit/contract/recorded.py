"""What an older release put on the wire, as testkit.contract.recorder has recorded it."""

import json
from typing import Any

from testkit import ROOT

RECORDED = ROOT / "tests/unit/contract/recorded.json"


def recorded(kind: str) -> list[dict[str, Any]]:
    """Give the records of one kind, in the order in which they were made."""
    records = json.loads(RECORDED.read_text())["records"]
    return [record for record in records if record["kind"] == kind]
