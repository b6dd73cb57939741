"""Images that were in the model when a worker ended: alone in a child, beside all others."""

from collections.abc import Iterator

import pytest

from testkit.classifier.pipeline_world import World, started
from testkit.processes.waiting import wait_until


@pytest.fixture
def world() -> Iterator[World]:
    for world in started(prefetch=8, batch_size=4):
        world.model.go.set()
        yield world


def test_suspects_are_classified_in_the_child_alone(world: World) -> None:
    world.suspects.update(dict.fromkeys(["id-a", "id-b", "id-bad"], "end"))
    world.sqs.add("a", "b", "bad", "c")
    wait_until(lambda: len(world.child.asked) == 3, 10)
    wait_until(lambda: world.in_flight() == 0, 10)
    assert sorted(world.child.asked) == ["a", "b", "bad"]
    assert world.model.batches == [["c"]]
    assert sorted(world.sqs.deleted) == ["a", "b", "c"]
    assert [receipt for receipt, _ in world.sqs.given_back] == ["bad"], "as from the model here"
    assert world.child.closed > 0, "nobody needs it any more"


def test_the_first_that_ends_the_child_clears_the_others(world: World) -> None:
    world.suspects.update({"id-killer": "end", "id-a": "end", "id-b": "end", "id-c": "another"})
    world.intake.away.set()
    world.sqs.add("killer", "a", "b")
    wait_until(lambda: world.intake.tries >= 3, 10)
    world.intake.away.clear()
    wait_until(lambda: world.in_flight() == 0, 20)
    assert "killer" in world.child.asked
    assert sorted(world.sqs.deleted) == ["a", "b", "killer"]
    assert world.suspects == {"id-c": "another"}
    assert "results/killer.json" in world.results.keys


def test_others_are_not_cleared_before_the_culprit_has_ended(world: World) -> None:
    """They may end the process as well, and its result would be lost with it."""
    world.suspects.update({"id-killer": "end", "id-a": "end"})
    world.results.open.clear()
    world.sqs.add("killer", "a")
    wait_until(lambda: "the store-" in str(world.loops.stuck()))
    assert "alone" not in str(world.loops.stuck()), "it waits, and does not hang"
    assert (world.results.entered, world.model.batches) == (1, [])
    world.results.open.set()
    wait_until(lambda: world.in_flight() == 0)
    assert (world.child.asked, world.model.batches) == (["killer"], [["a"]])


def test_stop_hands_back_suspects_that_wait(world: World) -> None:
    world.suspects["id-a"] = "end"
    world.pipeline.handing_back.set()
    world.sqs.add("a")
    wait_until(lambda: world.sqs.given_back == [("a", 0)], 10)
    assert world.child.asked == []
