"""Imports that are tried for a moment only, and the sources that several tests name."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from visionfleet.model.importing.found import Wanted
from visionfleet.model.importing.making import Imported, imported

LABELS = ("red", "green", "blue")
Import = Callable[..., Imported]


@pytest.fixture
def bring(monkeypatch: pytest.MonkeyPatch) -> Import:
    monkeypatch.setattr("visionfleet.model.trials._TRIAL_SECONDS", 0.1)
    monkeypatch.setattr("visionfleet.model.samples._CROPS", 8)
    # Weights that were never trained are unsure of all they see.
    monkeypatch.setattr("visionfleet.model.choice.AGREEMENT_FLOOR", 0.5)

    def run(source: Path | str, **wanted: Any) -> Imported:
        asked = Wanted(**({"labels": LABELS} | wanted))
        return imported(str(source), asked, None, os.environ, lambda _line: None)

    return run
