"""How messages are put together into calls of SQS."""

from collections.abc import Mapping, Sequence

import pytest

from visionfleet.aws.outbox import BATCH_BYTES, batches, send_apart
from visionfleet.errors import GiveUp, NotFound, TryLater, Unfit, VisionfleetError


@pytest.mark.parametrize(
    ("lengths", "calls"),
    [
        ([], []),
        ([1] * 10, [10]),
        ([1] * 25, [10, 10, 5]),
        ([BATCH_BYTES // 2] * 3, [2, 1]),
        ([BATCH_BYTES + 1, 1, BATCH_BYTES + 1], [1, 1, 1]),
        ([105_000] * 10, [2] * 5),
    ],
)
def test_batches_are_bounded_in_number_and_bytes(lengths: list[int], calls: list[int]) -> None:
    bodies = ["x" * length for length in lengths]
    made = list(batches(bodies))
    assert [len(batch) for batch in made] == calls
    assert [body for batch in made for body in batch] == bodies


def test_batches_count_bytes_and_not_letters() -> None:
    assert [len(batch) for batch in batches(["\u00e9" * (BATCH_BYTES // 4)] * 3)] == [2, 1]


def test_batch_that_is_refused_is_sent_one_by_one() -> None:
    calls: list[list[str]] = []

    def send_all(bodies: Sequence[str]) -> Mapping[str, VisionfleetError]:
        calls.append(list(bodies))
        if "bad" in bodies:
            raise Unfit("InvalidMessageContents")
        return {"unlucky": TryLater("throttled")} if "unlucky" in bodies else {}

    failed = send_apart(send_all, ["a", "bad", "unlucky", "b"])
    assert {body: type(error) for body, error in failed.items()} == {
        "bad": Unfit,
        "unlucky": TryLater,
    }
    assert calls == [["a", "bad", "unlucky", "b"], ["a"], ["bad"], ["unlucky"], ["b"]]


@pytest.mark.parametrize("error", [NotFound("no queue"), TryLater("no answer")])
def test_failure_of_the_queue_is_tried_once(error: VisionfleetError) -> None:
    calls: list[list[str]] = []

    def send_all(bodies: Sequence[str]) -> Mapping[str, VisionfleetError]:
        calls.append(list(bodies))
        raise error

    with pytest.raises(type(error)):
        send_apart(send_all, ["a", "b"])
    assert calls == [["a", "b"]]


def test_single_refused_message_is_tried_once() -> None:
    calls: list[list[str]] = []

    def send_all(bodies: Sequence[str]) -> Mapping[str, VisionfleetError]:
        calls.append(list(bodies))
        raise GiveUp("too long")

    assert set(send_apart(send_all, ["a"])) == {"a"}
    assert calls == [["a"]]
