"""The figures that the documentation tells are those that were measured."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bench import figures
from testkit import ROOT


def results(name: str) -> Any:
    return json.loads((ROOT / f"bench/results/{name}.json").read_text())


def page(name: str) -> str:
    return " ".join((ROOT / f"docs/{name}.md").read_text().split())


def told(name: str, pattern: str) -> float:
    found = re.search(pattern.replace(" ", r"\s"), page(name))
    assert found, pattern
    return float(found[1])


WEB, CALLS = results("web"), results("calls")["ways"]
CLASSIFIER = results("classifier")
INSTANT, RESNET = CLASSIFIER["costs"]["instant"], CLASSIFIER["costs"]["resnet18"]


@pytest.mark.parametrize(
    ("pattern", "measured", "digits"),
    [
        (r"measured (\d+) uploads of 87 KB", 1000 / WEB["cpu_ms"]["visionfleet"], 0),
        (r"([\d.]+) times what Flask", WEB["uploads_per_cpu_second_over_flask"], 1),
        (r"([\d.]+) of what boto3's", WEB["uploads_per_cpu_second_over_boto3_limit"], 1),
        (r"the (\d+) ms that the calls", WEB["latency_ms"]["calls"], 0),
        (r"100 KB takes (\d+) us", CALLS["direct"]["get_us"], 0),
        (r"(\d+) by pycurl", CALLS["pycurl"]["get_us"], 0),
        (r"(\d+) by AWS's own awscrt", CALLS["awscrt"]["get_us"], 0),
        (r"(\d+) by urllib3", CALLS["urllib3, botocore signs"]["get_us"], 0),
        (r"(\d+) by boto3", CALLS["boto3"]["get_us"], 0),
    ],
)
def test_architecture_tells_what_was_measured(pattern: str, measured: float, digits: int) -> None:
    assert told("architecture", pattern) == round(measured, digits)


@pytest.mark.parametrize(
    ("pattern", "measured", "digits"),
    [
        (r"worker spent ([\d.]+) ms of CPU per photo", INSTANT["daemon"]["cpu_ms"], 1),
        (r"of which ([\d.]+) ms is decoding", INSTANT["bare loop"]["cpu_ms"], 1),
        (r"decoding: ([\d.]+) of what", CLASSIFIER["instant_cpu_per_image_over_before"], 1),
        (r"With ResNet-18 it spent ([\d.]+) ms", RESNET["daemon"]["cpu_ms"], 1),
        (r"([\d.]+) times decoding and", CLASSIFIER["cpu_per_image_over_bare_loop"], 2),
    ],
)
def test_runbook_tells_what_was_measured(pattern: str, measured: float, digits: int) -> None:
    assert told("runbook", pattern) == round(measured, digits)


START = results("start")
ROWS = {"worker, default model": "default", "worker, ResNet-18": "resnet18", "web": "web"}


@pytest.mark.parametrize(("row", "name"), (ROWS | {"scaler": "scaler"}).items(), ids=str)
def test_start_table_is_what_was_measured(row: str, name: str) -> None:
    columns = ("ready_seconds", "processor_seconds", "resident_mib", "disk_read_mib")
    line = re.search(rf"\| {row} \|([\d. |]+)\|", page("models"))
    assert line, row
    digits = (2, 2, 0, 0)
    measured = [f"{START[name][c]:.{d}f}" for c, d in zip(columns, digits, strict=True)]
    assert line[1].replace("|", " ").split()[:4] == measured


CHAOS = results("chaos")["seeds"]


@pytest.mark.parametrize("seed", CHAOS, ids=lambda seed: str(seed["seed"]))
def test_chaos_lost_nothing_and_met_every_kind(seed: dict[str, Any]) -> None:
    assert seed["right"] == seed["jobs"] == 2000
    assert not any(seed[name] for name in ("lost", "stuck", "wrong", "unexpected_ends"))
    met = {**seed["faults"], **seed["clients"]}
    assert all(met.values()), met


def test_readme_tells_how_severe_the_chaos_was() -> None:
    words = " ".join((ROOT / "README.md").read_text().split())
    told = re.search(
        r"(\d+) kills, (\d+) stops, (\d+) frozen processes, (\d+) clock steps, three outages "
        r"and at least ([\d,]+) injected AWS faults",
        words,
    )
    assert told
    *counts, faults = [int(each.replace(",", "")) for each in told.groups()]
    for seed in CHAOS:
        blows: Counter[str] = Counter()
        for about, count in seed["blows"].items():
            blows[about.rpartition(" ")[0]] += count
        assert [blows[kind] for kind in ("kill", "stop", "freeze", "clock step")] == counts
        assert seed["blows"]["outage"] == 3
        assert sum(seed["faults"].values()) >= faults


def test_figures_are_kept_beside_what_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "RESULTS", tmp_path)
    figures.update("start", {"web": {"ready": 1.0, "read": 5.0}, "runs": 3})
    path = figures.update("start", {"web": {"ready": 2.0}, "scaler": {"ready": 4.0}})
    known = json.loads(path.read_text())
    assert known.pop("machine") == figures.machine()
    assert known == {"web": {"ready": 2.0, "read": 5.0}, "runs": 3, "scaler": {"ready": 4.0}}
