"""The worker's stages while S3 keeps images back, or no child process can be had."""

import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import NoReturn, cast

import pytest

from testkit.classifier.pipeline_world import World, started
from testkit.processes.waiting import wait_until
from visionfleet.classifier.drain import DrainController
from visionfleet.classifier.drain_triggers import DrainRequest, DrainTrigger
from visionfleet.classifier.isolation import ChildFailed
from visionfleet.classifier.jobs import Job
from visionfleet.classifier.worker_report import Reporter
from visionfleet.errors import TryLater
from visionfleet.host.process import SignalEvents


@pytest.fixture
def world() -> Iterator[World]:
    """It holds one message at the most."""
    yield from started(prefetch=1, batch_size=1)


@pytest.fixture
def many() -> Iterator[World]:
    """It holds sixteen, but two are enough."""
    yield from started(prefetch=16, batch_size=2, enough=2)


def test_images_that_s3_keeps_back_hold_no_thread(many: World) -> None:
    """More of them than threads fetch, and than are enough for the model."""
    away = {f"away{i}" for i in range(12)}
    many.intake.refused |= away
    many.model.go.set()
    many.sqs.add(*away, *(f"job{i}" for i in range(20)))
    wait_until(lambda: len(many.sqs.deleted) == 20, 10)
    assert many.in_flight() == 12
    assert many.stop()
    assert sorted(receipt for receipt, _ in many.sqs.given_back) == sorted(away)


def test_worker_whose_images_all_wait_holds_prefetch(many: World) -> None:
    many.intake.away.set()
    many.sqs.add(*(f"job{i}" for i in range(40)))
    wait_until(lambda: many.in_flight() == 16, 10)
    time.sleep(0.3)
    assert (many.in_flight(), len(many.sqs.there)) == (16, 24)
    many.intake.away.clear()
    many.model.go.set()
    wait_until(lambda: len(many.sqs.deleted) == 40, 30)


def test_drain_hands_back_what_s3_keeps_back() -> None:
    """Another worker may get it; here the drain ends, once the model has finished the others."""
    world = World(prefetch=16, batch_size=2, enough=3)
    world.pipeline.start()
    world.intake.refused.add("away0")
    world.intake.silent.add("silent0")
    world.sqs.add("away0", "silent0", "job0")
    wait_until(lambda: world.intake.tries >= 4 and world.model.entered.is_set(), 10)
    stop, reports = SignalEvents(), list[str]()
    reporter = SimpleNamespace(
        observe=lambda state, _: reports.append(state), write=lambda state, _: reports.append(state)
    )
    asked = DrainTrigger(0.0, lambda: DrainRequest("asked to"))
    drain = DrainController(
        world.pipeline,
        cast("Reporter", reporter),
        [asked],
        lambda: None,
        stop,
        patience_seconds=0.2,
    )
    thread = threading.Thread(target=drain.run, daemon=True)
    thread.start()
    wait_until(lambda: len(world.sqs.given_back) == 2, 10)
    assert sorted(world.sqs.given_back) == [("away0", 0), ("silent0", 0)]
    assert "drained" not in reports
    world.model.go.set()
    wait_until(lambda: "drained" in reports, 10)
    world.intake.refused.clear()  # too late
    world.intake.spoken.set()
    stop.to_stop()
    thread.join()
    assert (world.sqs.deleted, world.in_flight()) == (["job0"], 0)
    assert world.stop()


@pytest.mark.parametrize(("error", "counts"), [(TryLater("503"), False), (ChildFailed(""), True)])
def test_only_the_time_of_an_outage_does_not_count(
    world: World, monkeypatch: pytest.MonkeyPatch, error: Exception, counts: bool
) -> None:
    """What no child process can be had for returns to the queue, for another machine."""

    def fail(_job: Job) -> NoReturn:
        world.intake.tries += 1
        raise error

    monkeypatch.setattr(world.intake, "take", fail)
    before = time.monotonic()
    world.sqs.add("one")
    wait_until(lambda: world.intake.tries >= 2, 10)
    (held,) = world.pipeline.completion.in_flight.held()
    assert (held.received_at < before + 0.2) == counts
