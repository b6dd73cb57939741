"""`visionfleet simulate`: tables, files, and what it says of wrong input."""

import json
import math
import sys
from pathlib import Path
from random import Random

import pytest

from testkit.processes.cpu_time import takes_less_than
from tests.unit.simulation.test_world import POLICY
from visionfleet.cli import main, parser
from visionfleet.simulation import trace
from visionfleet.simulation.conditions import Conditions
from visionfleet.simulation.controllers import controller
from visionfleet.simulation.world import World


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "visionfleet.yaml"
    path.write_text("scaler: {maximum: 5}\n")
    return path


def simulate(tmp_path: Path, config: Path, rows: str, *options: str) -> int:
    (tmp_path / "trace.csv").write_text("minute,count\n" + rows)
    return main(["simulate", str(tmp_path / "trace.csv"), "--config", str(config), *options])


@pytest.mark.parametrize(
    "command", ["simulate trace.csv", "plan trace.csv", "load http://a", "bench"]
)
def test_plot_without_matplotlib_is_refused_at_once(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(parser, "find_spec", lambda name: None)
    with pytest.raises(SystemExit):
        main([*command.split(), "--plot", "out.png"])
    told = f"argument --plot: needs {sys.executable} -m pip install matplotlib"
    assert told in capsys.readouterr().err


def test_simulate_prints_a_table_and_draws_a_plot(
    tmp_path: Path, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = "".join(f"{minute},{20 + minute % 30}\n" for minute in range(120))
    files = ("--json", str(tmp_path / "out.json"), "--plot", str(tmp_path / "out.png"))
    policies = ("--policy", "pace", "--policy", "per_message", "--policy", "fixed:5")
    assert simulate(tmp_path, config, rows, *policies, *files) == 0
    assert "fixed:5" in capsys.readouterr().out
    found = json.loads((tmp_path / "out.json").read_text())["policies"]
    assert set(found) == {"pace", "per_message", "fixed:5"}
    assert found["pace"]["busy_kills"] == found["pace"]["unserved"] == 0
    assert found["pace"]["peak_workers"] <= 5, "the maximum of the configuration"
    assert found["pace"]["billed_hours"] < found["fixed:5"]["billed_hours"]
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("rows", "options", "said"),
    [
        ("1,many\n", (), "line 2: expected minute,count"),
        ("1,5\n", ("--policy", "oracular"), "no policy 'oracular'"),
        ("1,5\n", ("--policy", "keda"), "`make bench-scaling` compares with other scalers"),
        ("1,5\n", ("--policy", "fixed:0"), "no policy 'fixed:0'"),
        ("1,5\n", ("--policy", "ours"), "no policy 'ours'; `pace` is its name now"),
    ],
)
def test_simulate_reports_faulty_arguments(
    tmp_path: Path,
    config: Path,
    capsys: pytest.CaptureFixture[str],
    rows: str,
    options: tuple[str, ...],
    said: str,
) -> None:
    assert simulate(tmp_path, config, rows, *options) == 1
    assert said in capsys.readouterr().err


def test_trace_of_seconds_is_played_at_them(tmp_path: Path, config: Path) -> None:
    """300 images in one second wait, who would not if they were spread over the minute."""
    out = tmp_path / "out.json"
    (tmp_path / "seconds.csv").write_text("second,count\n0,1\n600,300\n660,1\n")
    trace_and_config = (str(tmp_path / "seconds.csv"), "--config", str(config))
    assert main(["simulate", *trace_and_config, "--policy", "fixed:5", "--json", str(out)]) == 0
    found = json.loads(out.read_text())["policies"]["fixed:5"]
    assert found["p95_wait_seconds"] >= 25


def test_simulate_a_busy_day_takes_seconds() -> None:
    """CPU seconds of this process, which other work makes more: a week takes 20 at the most."""
    counts = [round(1667 * (1 + 0.6 * math.sin(minute / 230))) for minute in range(1440)]

    def simulated() -> None:
        arrivals = trace.arrivals(counts, 1.0, Random(1))
        conditions = Conditions(service_seconds=0.25)
        World(conditions, controller("pace", POLICY)).run(arrivals)

    assert takes_less_than(20 / 7, simulated)
