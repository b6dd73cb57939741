"""Tables on a terminal of 80 columns: nothing is cut off, and what is asked for is shown."""

import io
from datetime import date

import pytest
from rich.console import Console, RenderableType

from visionfleet.cli import classify, cost, dead, status, terminal
from visionfleet.cli.client import Answer
from visionfleet.contract.messages import ModelInfo, WorkerReport
from visionfleet.contract.usage import DayUsage, WorkerTime
from visionfleet.cost.bill import fleet_cost
from visionfleet.cost.prices import PriceTable

TOP = tuple({"label": name, "score": score} for name, score in (("espresso", 0.9), ("cup", 0.05)))


def printed(*parts: RenderableType) -> str:
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    console.print(*parts, sep="\n")
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_classify_shows_as_many_classes_as_asked_for() -> None:
    answers = [Answer("a.jpg", 1.0, label="espresso", score=0.9, top=TOP)]
    assert "cup" not in printed(classify.table(answers))
    rows = [line.split() for line in printed(classify.table(answers, 2)).splitlines()]
    assert rows[1:] == [["a.jpg", "espresso", "0.900", "1.00"], ["cup", "0.050"]]


def test_classify_shows_all_classes_where_none_is_the_answer() -> None:
    answers = [Answer("a.jpg", 1.0, score=0.5, top=TOP, reason="low confidence")]
    labels = [line.split()[0] for line in printed(classify.table(answers, 2)).splitlines()]
    assert labels == ["file", "a.jpg", "espresso", "cup"]


def report(worker: str) -> WorkerReport:
    return WorkerReport(
        worker=worker,
        state="draining",
        since=0.0,
        reported_at=5000.0,
        started_at=0.0,
        in_flight=32,
        handled=1234567,
        capacity_per_second=381.2,
        busy_share=1.0,
        version="0.2.0",
        host="h",
        model=ModelInfo(name="efficientnet_lite0", fingerprint="0" * 16),
    )


def test_status_of_instances_is_whole_in_80_columns() -> None:
    table = status._workers_table([report("i-0123456789abcdef0")], 5031.0)
    head, row = printed(table).splitlines()  # a cell too wide would have a second line
    assert " ".join(row.split()) == (
        "i-0123456789abcdef0 draining 84 min 32 1234567 381/s 100% 31 s"
    )
    assert head.split()[-1] == "silent"


def test_dead_letters_keep_their_names_whole_in_80_columns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown: list[RenderableType] = []
    monkeypatch.setattr(terminal, "show", shown.append)
    row: dict[str, object] = {
        "message_id": "8d6ffd39-35b5-4a31-b2b9-c5d1a3b3a4a7",
        "job": None,
        "received": 4,
        "file_name": "x" * 60,
        "first_sent": "2026-11-28T23:08:09Z",
        "reason": "gave_up",
    }
    dead._print_table([row])
    text = printed(*shown)
    assert "8d6ffd39-35b5-4a31-b2b9-c5d1a3b3a4a7  11-28 23:08  4 " in text
    assert text.count("x") == 60
    assert "gave_up" in "".join(text.split())
    assert max(map(len, text.splitlines())) <= 80


def test_cost_shows_days_and_what_has_no_price() -> None:
    """The command itself is tried on no day of its own: a new one may begin meanwhile."""
    prices = PriceTable.model_validate(
        {"date": date(2026, 11, 29), "source": "nowhere", "region": "us-east-1"}
        | {"instances": {"a.large": {"vcpus": 2, "spot": 0.036}}}
    )
    usage = [
        DayUsage(day=day, images=500, workers=(WorkerTime(instance_type=kind, seconds=3600),))
        for day, kind in (("2026-11-28", "a.large"), ("2026-11-29", "m9.huge"))
    ]
    text = printed(cost.page(fleet_cost(usage, prices, date(2026, 11, 29)), prices))
    rows = {line[:12].strip(): line.split() for line in text.splitlines()}
    assert rows["today"][1:4] == ["500", "1.00", "unknown"]
    assert rows["yesterday"][1:3] == ["500", "1.00"]
    assert "for they have no price: a.large, market not known; calls to S3" in text
