"""A pipeline with SQS, S3 and a model that do as a test wants: its bounds, its ends, its loops."""

import threading
import time
from collections.abc import Iterator

import pytest

from testkit.classifier.pipeline_world import World, started
from testkit.processes.waiting import wait_until
from visionfleet.classifier.capacity import FINISH
from visionfleetd.classifier import wiring


@pytest.fixture
def world() -> Iterator[World]:
    """It holds one message at the most."""
    yield from started(prefetch=1, batch_size=1)


@pytest.fixture
def wide() -> Iterator[World]:
    """It holds eight, and classifies four at a time."""
    yield from started(prefetch=8, batch_size=4)


def test_idle_worker_is_healthy(world: World) -> None:
    assert world.stays_well()
    assert world.sqs.receives > 3


def test_hung_receive_is_detected(world: World) -> None:
    world.sqs.parks_seconds = 60.0
    wait_until(lambda: "receive loop" in str(world.loops.stuck()), 10)


def test_worker_that_waits_for_s3_is_healthy(world: World) -> None:
    world.intake.away.set()
    world.sqs.add("one")
    wait_until(lambda: world.intake.tries > 0, 10)
    assert world.stays_well()
    assert world.in_flight() == 1


def test_hung_forward_pass_is_detected_and_a_failed_one_is_over(world: World) -> None:
    world.sqs.add("bad")
    assert world.model.entered.wait(60)
    wait_until(lambda: "model" in str(world.loops.stuck()), 10)
    world.model.go.set()
    wait_until(lambda: world.in_flight() == 0, 10)
    assert world.loops.stuck() == []


def test_hung_store_is_detected_and_ends_with_it(world: World) -> None:
    world.results.open.clear()
    world.sqs.add("odd")
    wait_until(lambda: "the store-" in str(world.loops.stuck()), 10)
    world.results.open.set()
    wait_until(lambda: world.in_flight() == 0, 10)
    assert world.loops.stuck() == []


def test_hung_fetch_is_detected(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()
    take = world.intake.take
    monkeypatch.setattr(world.intake, "take", lambda job: go.wait() and take(job))
    world.model.go.set()
    world.sqs.add("one")
    wait_until(lambda: "the fetch-" in str(world.loops.stuck()), 10)
    go.set()
    wait_until(lambda: world.loops.stuck() == [], 10)


def test_drain_does_not_wait_for_what_is_lost(world: World) -> None:
    world.results.open.clear()
    world.sqs.add("odd")
    wait_until(lambda: world.results.entered == 1, 10)
    world.pipeline.receiver.close()
    wait_until(lambda: not world.pipeline.receiver.alive(), 10)
    assert world.pipeline.working()
    (held,) = world.pipeline.completion.in_flight.held()
    held.lost = True  # held for too long: another worker has it
    assert not world.pipeline.working()


def test_in_flight_is_bounded_by_prefetch_in_every_stage(wide: World) -> None:
    wide.sqs.add(*(f"job{i}" for i in range(20)))
    wait_until(lambda: wide.in_flight() == 8, 10)
    time.sleep(0.3)
    assert (wide.in_flight(), len(wide.sqs.there)) == (8, 12)
    assert wide.metrics.registry.get_sample_value("visionfleet_jobs_in_flight") == 8
    wide.model.go.set()
    wait_until(lambda: len(wide.sqs.deleted) == 20, 10)
    wait_until(lambda: wide.in_flight() == 0, 10)


def test_bad_image_does_not_harm_its_batch(wide: World) -> None:
    wide.intake.away.set()
    wide.sqs.add("job0", "bad", "job1", "rubbish", "odd")
    wait_until(lambda: wide.in_flight() == 4, 10)
    wide.intake.away.clear()
    wide.model.go.set()
    wait_until(lambda: wide.in_flight() == 0, 20)
    assert sorted(wide.sqs.deleted) == ["job0", "job1", "odd", "rubbish"]
    assert [receipt for receipt, _ in wide.sqs.given_back] == ["bad"]
    assert wide.sqs.buried == ["rubbish"]


def test_lost_delivery_reaches_neither_model_nor_s3(wide: World) -> None:
    wide.sqs.add("first")
    assert wide.model.entered.wait(60)
    wide.sqs.add("second", "third")
    wait_until(lambda: wide.in_flight() == 3, 10)
    first, second = (
        next(
            held for held in wide.pipeline.completion.in_flight.held() if held.message.body == name
        )
        for name in ("first", "second")
    )
    first.lost = second.lost = True
    wide.model.go.set()
    wait_until(lambda: wide.in_flight() == 0, 10)
    assert (wide.model.batches, wide.sqs.deleted) == ([["first"], ["third"]], ["third"])
    assert wide.results.keys == ["results/third.json"]


def test_half_of_the_prefetch_is_stored_at_a_time(wide: World) -> None:
    wide.results.open.clear()
    wide.sqs.add(*(f"odd{i}" for i in range(8)))
    wait_until(lambda: wide.results.entered == 4, 10)
    time.sleep(0.2)
    assert wide.results.entered == 4
    wide.results.open.set()
    wait_until(lambda: len(wide.sqs.deleted) == 8, 10)


def test_stop_finishes_the_forward_pass_and_hands_back_the_rest(wide: World) -> None:
    wide.sqs.add("first")
    assert wide.model.entered.wait(60)
    wide.sqs.add(*(f"job{i}" for i in range(6)))
    wait_until(lambda: wide.in_flight() == 7, 10)
    stopping = threading.Thread(target=wide.stop)
    stopping.start()
    assert wide.pipeline.handing_back.wait(60)
    wide.model.go.set()
    stopping.join(60)
    assert (wide.sqs.deleted, wide.results.keys) == (["first"], ["results/first.json"])
    assert sorted(wide.sqs.given_back) == [(f"job{i}", 0) for i in range(6)]
    assert wide.in_flight() == 0


def test_stop_out_of_time_hands_back_what_hangs(wide: World) -> None:
    wide.sqs.add("hangs")
    assert wide.model.entered.wait(60)
    began = time.monotonic()
    assert wide.stop(seconds=0.3)
    assert time.monotonic() - began < 5
    assert wide.sqs.given_back == [("hangs", 0)]


def test_late_receive_is_handed_back(wide: World) -> None:
    wide.sqs.parks_seconds = 60.0
    wait_until(lambda: "receive loop" in str(wide.loops.stuck()), 10)
    wide.stop(seconds=0.3)
    assert wide.pipeline.receiver.alive(), "it is abandoned"
    wide.sqs.add("late")
    wide.sqs.awake.set()
    wait_until(lambda: not wide.pipeline.working(), 10)
    assert wide.sqs.given_back == [("late", 0)]


def test_drain_works_off_what_is_in_flight(wide: World) -> None:
    wide.sqs.add("job0", "job1")
    assert wide.model.entered.wait(60)
    wait_until(lambda: wide.in_flight() == 2, 10)
    wide.pipeline.receiver.close()
    wait_until(lambda: not wide.pipeline.receiver.alive(), 10)
    wide.sqs.add("late")
    assert wide.pipeline.working()
    wide.model.go.set()
    wait_until(lambda: not wide.pipeline.working(), 10)
    assert sorted(wide.sqs.deleted) == ["job0", "job1"]
    assert wide.sqs.given_back == []


def test_unexpected_error_in_a_stage_ends_the_process(
    wide: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    crashes: list[BaseException] = []
    monkeypatch.setattr("os._exit", lambda status: crashes.append(SystemExit(status)))
    wide.model.go.set()
    wide.sqs.add("crash")
    wait_until(lambda: len(crashes) > 0, 10)
    assert crashes[0].args == (70,)


def test_jobs_are_answered_in_batches_of_ten() -> None:
    made = World(prefetch=32, batch_size=8)
    made.results.open.clear()
    made.sqs.add(*(f"odd{i}" for i in range(32)))
    made.model.go.set()
    made.pipeline.start()
    wait_until(lambda: made.results.entered == 16, 10)
    made.results.open.set()
    wait_until(lambda: len(made.sqs.deleted) == 32, 10)
    assert max(made.sqs.delete_sizes) <= 10
    assert made.pipeline.finish(hand_back=False, deadline=time.monotonic() + 60)


def worked_off(kind: str, results: float = 0.0, intake: float = 0.0) -> World:
    """Work off 32 images that are stored, or come, so many seconds apart."""
    made = World(prefetch=32, batch_size=8)
    made.model.go.set()
    made.results.slowly, made.intake.slowly = results, intake
    made.sqs.add(*(f"{kind}{i}" for i in range(32)))
    made.pipeline.start()
    wait_until(lambda: len(made.sqs.deleted) == 32, 10)
    assert made.pipeline.finish(hand_back=False, deadline=time.monotonic() + 60)
    return made


# They gather for milliseconds; on a busy machine threads may be late by more, but not each time.
def test_busy_worker_lets_jobs_gather_that_are_done() -> None:
    """It does not make a call for each job or two."""
    assert any(len(worked_off("odd", 0.004).sqs.delete_sizes) < 16 for _ in range(5))


def test_idle_worker_answers_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(wiring.GATHER_SECONDS, FINISH, 60.0)
    made = World(prefetch=32, batch_size=8)
    made.model.go.set()
    made.pipeline.start()
    for number in range(1, 4):
        made.sqs.add(*(f"odd{number}-{i}" for i in range(number)))
        wait_until(lambda: made.in_flight() == 0 and not made.sqs.there, 10)
    assert len(made.sqs.deleted) == 6
    assert made.pipeline.finish(hand_back=False, deadline=time.monotonic() + 60)


def test_stop_waits_for_no_company(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(wiring.GATHER_SECONDS, FINISH, 60.0)
    made = World(prefetch=32, batch_size=1)
    made.sqs.add(*(f"slow{i}" for i in range(20)), "odd")
    made.pipeline.start()
    wait_until(lambda: made.results.keys, 10)  # the odd one is done, and waits for the others
    assert made.sqs.deleted == []
    made.model.go.set()
    assert made.stop()
    assert "odd" in made.sqs.deleted


def test_idle_model_waits_for_a_batch_while_many_are_in_flight() -> None:
    """It does not make a pass for each job."""
    assert any(len(worked_off("job", intake=0.002).model.batches) <= 16 for _ in range(5))
