"""When a worker's report is written, over time."""

import json
from dataclasses import dataclass, field
from typing import cast

import pytest

from visionfleet.aws.s3 import Store
from visionfleet.classifier.in_flight import WorkCounts
from visionfleet.classifier.metrics import ClassifierMetrics
from visionfleet.classifier.worker_report import Identity, Reporter
from visionfleet.config.classifier import ClassifierSection
from visionfleet.contract.messages import WorkerState
from visionfleet.contract.model_description import ModelDescription, ModelInput
from visionfleet.errors import GiveUp, TryLater

NOTHING = WorkCounts()
START = 1_000_000.0


@dataclass
class Shelf:
    """A store that notes when which state was written, and can be out of order."""

    now: float = START
    broken: bool = False
    refused: set[str] = field(default_factory=set)
    written: list[tuple[float, str]] = field(default_factory=list)
    models: list[list[str]] = field(default_factory=list)

    def put_json(self, key: str, text: str) -> None:
        if self.broken:
            raise TryLater("out of order")
        if key in self.refused:
            raise GiveUp("not allowed")
        if key == "fleet/model.json":
            self.models.append(json.loads(text)["labels"])
            return
        assert key == "fleet/workers/w0.json"
        self.written.append((round(self.now - START, 3), json.loads(text)["state"]))


def reporter(shelf: Shelf, report_seconds: float = 30.0) -> Reporter:
    """A reporter whose worker has just booted."""
    identity = Identity("w0", "host", "1.0", START)
    settings = ClassifierSection(report_seconds=report_seconds)
    store, metrics = cast(Store, shelf), ClassifierMetrics()
    made = Reporter(store, identity, settings, metrics, lambda: shelf.now, lambda: shelf.now)
    made.write("booting", NOTHING)
    return made


def observe(shelf: Shelf, made: Reporter, *line: tuple[float, WorkerState]) -> None:
    for seconds, state in line:
        shelf.now = START + seconds
        made.observe(state, NOTHING)


def test_first_report_after_boot_is_written_at_once() -> None:
    shelf = Shelf()
    observe(shelf, reporter(shelf), (0.3, "idle"))
    assert shelf.written == [(0, "booting"), (0.3, "idle")]


@pytest.mark.parametrize(("report_seconds", "most"), [(30.0, 360), (5.0, 2160)])
def test_idle_busy_changes_cost_three_reports_per_interval(
    report_seconds: float, most: int
) -> None:
    """An hour of idle, busy, idle each half a second: 7,200 changes."""
    shelf = Shelf()
    made = reporter(shelf, report_seconds)
    states: list[WorkerState] = ["idle", "busy"]
    for number in range(7200):
        observe(shelf, made, (number / 2, states[number % 2]))
    assert most / 2 < len(shelf.written) <= most + 2


def test_delayed_state_change_is_reported_after_the_gap() -> None:
    shelf = Shelf()
    observe(shelf, reporter(shelf), (1, "idle"), (2, "busy"), (10.9, "busy"), (11, "busy"))
    assert shelf.written[1:] == [(1, "idle"), (11, "busy")]


def test_unchanged_state_is_reported_regularly() -> None:
    shelf = Shelf()
    observe(shelf, reporter(shelf), *((float(second), "idle") for second in range(1, 92)))
    assert shelf.written[1:] == [(1, "idle"), (31, "idle"), (61, "idle"), (91, "idle")]


def test_drain_states_are_reported_at_once_and_once() -> None:
    shelf = Shelf()
    made = reporter(shelf)
    observe(shelf, made, (1, "busy"), (1.1, "draining"), (1.2, "draining"))
    observe(shelf, made, (1.3, "drained"), (1.4, "drained"))
    assert shelf.written[1:] == [(1, "busy"), (1.1, "draining"), (1.3, "drained")]


def test_spot_notice_is_reported_at_once() -> None:
    shelf = Shelf()
    made = reporter(shelf)
    observe(shelf, made, (1, "busy"), (1.5, "busy"))
    made.note("EC2 will stop this instance")
    observe(shelf, made, (1.6, "busy"), (1.7, "busy"))
    assert shelf.written[1:] == [(1, "busy"), (1.6, "busy")]


def test_failed_report_is_retried_soon() -> None:
    shelf = Shelf()
    made = reporter(shelf)
    shelf.broken = True
    observe(shelf, made, (31, "idle"))
    shelf.broken = False
    observe(shelf, made, (31.3, "idle"))
    assert shelf.written[1:] == [(31.3, "idle")]


MODEL = ModelDescription(
    name="birds",
    fingerprint="0123",
    labels=("hen", "tit"),
    input=ModelInput(side=224, shorter_side=256, interpolation="bicubic"),
    temperature=1.0,
    unknown_below=0.5,
    runtime="torch",
    precision="float32",
    device="cpu",
    worker="w0",
    told_at=START,
)


def test_model_is_told_once_and_again_where_s3_failed() -> None:
    shelf = Shelf()
    made = reporter(shelf)
    made.unpublished_model, shelf.broken = MODEL, True
    observe(shelf, made, (1.0, "idle"))
    shelf.broken = False
    observe(shelf, made, (2.0, "idle"), (40.0, "idle"), (80.0, "idle"))
    assert shelf.models == [["hen", "tit"]]


def test_role_that_may_not_tell_the_model_still_reports() -> None:
    shelf = Shelf(refused={"fleet/model.json"})
    made = reporter(shelf)
    made.unpublished_model = MODEL
    observe(shelf, made, (1.0, "idle"))
    assert shelf.written[-1] == (1.0, "idle")
    shelf.refused.clear()
    observe(shelf, made, (40.0, "idle"))
    assert shelf.models == [], "it is not tried with each report"
