"""`visionfleet load` as a real process."""

import json
import time
from collections import Counter
from pathlib import Path

import pytest

from testkit.processes.cli import visionfleet
from testkit.processes.ports import free_port
from testkit.web.stand_in import problem, queued, succeeded, web_stand_in


def test_load_sends_at_its_rate_and_prints_percentiles() -> None:
    with web_stand_in(succeeded("cat")) as web:
        started = time.monotonic()
        done = visionfleet("load", web.url, "--rate", "20", "--seconds", "1", "--arrivals", "even")
        took = time.monotonic() - started
    assert done.returncode == 0, done.stderr
    assert took > 0.95, "images left before they were due"
    assert len(web.calls) == 20
    head, row = done.stdout.splitlines()
    assert head.split() == [
        "images",
        "answered",
        "errors",
        "images/s",
        "p50",
        "p95",
        "p99",
        "mean",
        "max",
    ]
    assert row.split()[:3] == ["20", "20", "0"]
    assert len(head) <= 80


def test_load_sends_photos_of_the_package(tmp_path: Path) -> None:
    with web_stand_in(succeeded("cat")) as web:
        visionfleet("load", web.url, "--rate", "30", "--seconds", "1")
    names = Counter(call.file for call in web.calls)
    assert set(names) == {"astronaut.jpg", "chelsea.jpg", "coffee.jpg", "rocket.jpg"}
    assert all(call.data.startswith(b"\xff\xd8\xff") for call in web.calls)


def test_load_does_not_wait_for_answers() -> None:
    """A closed loop would send the second image after the first was given up."""
    with web_stand_in(queued("j1")) as web:
        options = ("--rate", "20", "--seconds", "0.5", "--wait", "2", "--json")
        done = visionfleet("load", web.url, *options, "--arrivals", "even")
    found = json.loads(done.stdout)
    assert done.returncode == 1
    assert (found["sent"], found["errors"], found["answered"]) == (10, {"late": 10}, 0)


def test_load_counts_refusals_by_kind_and_does_not_try_again() -> None:
    busy, wrong = (
        problem(503, "queue_full", "no", Retry_After="1"),
        problem(415, "not_an_image", ""),
    )
    with web_stand_in(busy, wrong, wrong, succeeded("cat")) as web:
        options = ("--rate", "10", "--seconds", "1", "--arrivals", "even", "--json")
        done = visionfleet("load", web.url, *options)
    found = json.loads(done.stdout)
    assert len(web.calls) == found["sent"] == 10
    assert found["errors"] == {"not_an_image": 2, "queue_full": 1}
    assert found["answered"] == 7
    assert set(found["latencies"]) == {"p50", "p95", "p99", "mean", "max"}


def test_load_on_a_closed_port_says_so_and_exits_with_1() -> None:
    options = ("--rate", "5", "--seconds", "1", "--arrivals", "even")
    done = visionfleet("load", f"http://127.0.0.1:{free_port()}", *options)
    assert done.returncode == 1
    assert "5 x no_connection" in done.stdout


def test_load_images_left_late_are_told() -> None:
    with web_stand_in(queued("j1")) as web:
        options = ("--rate", "10", "--seconds", "0.6", "--wait", "1", "--parallel", "1")
        done = visionfleet("load", web.url, *options, "--arrivals", "even")
    assert "6 images left late: give it more --parallel" in done.stderr


def test_load_draws_a_plot_and_needs_images(tmp_path: Path) -> None:
    plot, none = tmp_path / "p.png", tmp_path / "empty"
    none.mkdir()
    with web_stand_in(succeeded("cat")) as web:
        options = ("--rate", "5", "--seconds", "1", "--plot", str(plot))
        assert visionfleet("load", web.url, *options).returncode == 0
        done = visionfleet("load", web.url, "--images", str(none))
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert (done.returncode, done.stderr) == (1, f"visionfleet: there are no images in {none}\n")


@pytest.mark.parametrize("option", [("--rate", "0"), ("--seconds", "no"), ("--arrivals", "all")])
def test_load_refuses_options_that_make_no_sense(option: tuple[str, str]) -> None:
    done = visionfleet("load", "http://127.0.0.1:1", *option)
    assert done.returncode == 2
    assert option[0] in done.stderr
