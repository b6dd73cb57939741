"""`visionfleet plan`: the table, the recommendation, files, and what it says of wrong input."""

import argparse
import json
from pathlib import Path

import pytest

from visionfleet.cli import main
from visionfleet.cli.plan import schedule

PRICES = """
date: 2026-11-29
source: nowhere
region: us-east-1
instances:
  a.large: {vcpus: 2, on_demand: 0.1, spot: 0.03}
  a.xlarge: {vcpus: 4, on_demand: 0.2}
calls: {s3_write: 5, s3_read: 0.4, sqs: 0.4}
"""
ROWS = "".join(f"{minute},{60 if 20 < minute < 40 else 0}\n" for minute in range(50))


def plan(tmp_path: Path, *options: str, rows: str = ROWS, scaler: str = "{maximum: 5}") -> int:
    (tmp_path / "trace.csv").write_text("minute,count\n" + rows)
    (tmp_path / "prices.yaml").write_text(PRICES)
    (tmp_path / "visionfleet.yaml").write_text(f"scaler: {scaler}\n")
    files = ["--config", str(tmp_path / "visionfleet.yaml")]
    files += ["--prices", str(tmp_path / "prices.yaml")]
    return main(["plan", str(tmp_path / "trace.csv"), *files, *options])


def test_plan_sorts_by_cost_and_fits_eighty_columns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--schedule", "none", "--schedule", "2@00:10-00:50/mon-sun", "--p95", "0"]
    options += ["--hold", "60", "--hold", "300"]
    files = ("--json", str(tmp_path / "out.json"), "--plot", str(tmp_path / "out.png"))
    assert plan(tmp_path, *options, *files) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    found = json.loads((tmp_path / "out.json").read_text())
    fleets = found["fleets"]
    assert len(fleets) == 3 * 2 * 2, "a.xlarge has no price on the spot market"
    dollars = [one["dollars_a_month"] for one in fleets]
    assert dollars == sorted(dollars)
    assert all(one["peak_workers"] <= 5 for one in fleets)
    assert found["prices"] == {"date": "2026-11-29", "region": "us-east-1", "source": "nowhere"}
    best = found["recommended"]
    quick = [one for one in fleets if one["p95_wait_seconds"] == 0]
    assert best == quick[0], "without workers that are up before, the first images wait for a boot"
    assert best["schedule"] == "2@00:10-00:50/mon-sun"
    assert best["market"] == "spot"
    assert "Recommended for a p95 wait of 0 s: a.large spot, hold " in " ".join(lines)
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")


def test_plan_prints_json_alone_and_says_if_none_is_quick(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = ("--hold", "60", "--market", "on-demand", "--p95", "0", "--json")
    rows = "0,60\n" + "1,0\n" * 9
    assert plan(tmp_path, *one, rows=rows) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["recommended"] is None
    times = {fleet["instance_type"]: fleet["service_seconds"] for fleet in found["fleets"]}
    assert times == {"a.large": 0.5, "a.xlarge": 0.25}, "by vCPUs"
    assert plan(tmp_path, *one[:-1], rows=rows) == 0
    assert "None keeps a p95 wait of 0 s; the nearest is" in capsys.readouterr().out


def test_plan_of_a_month_scales_cost_with_the_trace(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A minute each hour for a day, or for two: the same month."""
    rows = "0,30\n" + "".join(f"{minute},0\n" for minute in range(59))
    one = ("--type", "a.large=0.5", "--market", "spot", "--hold", "60", "--json")
    dollars = []
    for hours in (6, 12):
        assert plan(tmp_path, *one, rows=rows * hours) == 0
        dollars.append(json.loads(capsys.readouterr().out)["fleets"][0]["dollars_a_month"])
    assert dollars[0] == pytest.approx(dollars[1], rel=0.1)
    workers = 730 * 0.03 * 300 / 3600  # a worker of some five minutes each hour
    assert dollars[0] == pytest.approx(workers + 1, rel=0.5)


def test_plan_follows_the_configured_schedule_and_dates(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    window = '{days: [sun], start: "01:00", end: "02:00", minimum: 3}'
    rows = "".join(f"2026-11-29 00:{minute:02}:00,0\n" for minute in range(60)) * 2
    one = ("--type", "a.large", "--market", "spot", "--hold", "60", "--json")
    assert plan(tmp_path, *one, rows=rows, scaler=f"{{schedule: [{window}]}}") == 0
    found = {f["schedule"]: f for f in json.loads(capsys.readouterr().out)["fleets"]}
    assert found["as configured"]["peak_workers"] == 3
    assert found["none"]["peak_workers"] <= 1, "a wrong count of an empty queue at the most"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--type", "m9.huge"), "m9.huge has no price; there are prices of a.large, a.xlarge"),
        (("--prices", "/nowhere.yaml"), "/nowhere.yaml"),
    ],
)
def test_plan_tells_what_has_no_price(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], said: str
) -> None:
    assert plan(tmp_path, *options) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "text", ["2@8:00-18:00", "x@08:00-18:00", "2@08:00", "2@08:00-25:00", "2@08:00-18:00/today"]
)
def test_faulty_schedules_are_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="as 2@08:00-18:00/mon-fri"):
        schedule(text)


def test_schedule_takes_lists_and_ranges_of_days() -> None:
    window = schedule("2@22:00-06:00/fri-mon,wed").windows[0]
    assert (window.minimum, window.start, window.end) == (2, "22:00", "06:00")
    assert set(window.days) == {"fri", "sat", "sun", "mon", "wed"}
    assert schedule("none").windows == ()


def test_plan_prices_what_spot_refuses_as_on_demand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = ("--type", "a.large", "--hold", "60", "--json")
    assert plan(tmp_path, *one, "--spot-refusals", "1") == 0
    found = {f["market"]: f for f in json.loads(capsys.readouterr().out)["fleets"]}
    assert found["spot"]["unserved"] > 0, "nobody ever comes"
    behind, alone = found["both"]["worker_dollars"], found["on-demand"]["worker_dollars"]
    assert behind == pytest.approx(alone, rel=0.1), "all of it is on demand"
    assert plan(tmp_path, *one, "--spot-refusals", "0.3", "--interruptions", "2") == 0
    found = {f["market"]: f for f in json.loads(capsys.readouterr().out)["fleets"]}
    dollars = {market: f["worker_dollars"] for market, f in found.items()}
    assert dollars["spot"] < dollars["both"] < dollars["on-demand"]
    assert found["both"]["unserved"] == 0
