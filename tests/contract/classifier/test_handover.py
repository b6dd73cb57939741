"""The notes of what a worker holds: what the next one makes of them, however the worker ended."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn, cast

import pytest

from visionfleet.aws.sqs import Queue, Received
from visionfleet.classifier import handover
from visionfleet.classifier.handover import HandoverJournal, Takeover, journal_header, take_over
from visionfleet.classifier.in_flight import Delivery, InFlight
from visionfleet.errors import LeaseLost, TryLater

ABOUT = journal_header("http://sqs/requests")


class Sqs:
    def __init__(self) -> None:
        self.extended: list[tuple[list[str], int]] = []
        self.lost: set[str] = set()
        self.away = False

    def extend(self, receipts: Sequence[str], seconds: int) -> dict[str, Exception]:
        if self.away:
            raise TryLater("throttled")
        if receipts:
            self.extended.append((list(receipts), seconds))
        return {receipt: LeaseLost("gone") for receipt in receipts if receipt in self.lost}


class Worker:
    """It dies when its notes are left as they are, and their lock goes."""

    def __init__(self, folder: Path) -> None:
        self.notes = HandoverJournal(folder, ABOUT)
        self.in_flight = InFlight(100, self.notes)

    def receives(self, *names: str) -> list[Delivery]:
        messages = [Received(f"id-{name}", f"body of {name}", name, 2) for name in names]
        return self.in_flight.begin(messages, now=100.0, expires_at=160.0)

    def dies(self) -> None:
        self.notes._numbers = {Delivery(Received("", "", "", 1), 0.0, 0.0): 0}
        self.notes.close()


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    return Worker(tmp_path)


def receipts(takeover: Takeover) -> list[str]:
    return [delivery.message.receipt for delivery in takeover.deliveries]


def test_what_was_held_at_the_end_is_taken_over(worker: Worker, tmp_path: Path) -> None:
    one, two, three = worker.receives("a", "b", "c")
    worker.in_flight.extended(two, 190.0)
    with worker.in_flight.ending([one]):
        pass
    worker.in_flight.enter_model([one, two])
    worker.in_flight.enter_model([one, three])
    worker.dies()
    found = take_over(tmp_path, ABOUT)
    assert receipts(found) == ["b", "c"]
    assert [d.message for d in found.deliveries] == [two.message, three.message]
    assert [(d.received_at, d.expires_at) for d in found.deliveries] == [(100, 190), (100, 160)]
    assert [(d.holders, d.suspect) for d in found.deliveries] == [(2, ""), (2, "id-c")]
    assert found.suspects == {"id-c": "id-c"}


def test_suspects_stay_suspects_for_a_third_worker(worker: Worker, tmp_path: Path) -> None:
    worker.in_flight.enter_model(worker.receives("a"))
    worker.dies()
    second, taken = Worker(tmp_path), take_over(tmp_path, ABOUT)
    second.in_flight.hold(taken.deliveries)
    taken.settle()
    second.dies()
    found = take_over(tmp_path, ABOUT)
    assert [(d.holders, d.suspect) for d in found.deliveries] == [(3, "id-a")]


def test_living_workers_and_clean_ends_leave_nothing_to_take(tmp_path: Path) -> None:
    alive, ended = Worker(tmp_path), Worker(tmp_path)
    alive.receives("a")
    with ended.in_flight.ending(ended.receives("b")):
        pass
    ended.notes.close()
    assert len(list(tmp_path.iterdir())) == 1
    assert receipts(take_over(tmp_path, ABOUT)) == []
    alive.dies()


def test_notes_stay_until_the_heir_has_its_own(worker: Worker, tmp_path: Path) -> None:
    worker.receives("a")
    worker.dies()
    first = take_over(tmp_path, ABOUT)
    assert receipts(take_over(tmp_path, ABOUT)) == [], "two heirs do not share"
    first.settle()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("other", "stay"), [({"queue": "http://sqs/other"}, 1), ({"boot": "before"}, 0)]
)
def test_notes_of_another_queue_stay_and_of_a_boot_go(
    worker: Worker, tmp_path: Path, other: dict[str, str], stay: int
) -> None:
    worker.receives("a")
    worker.dies()
    found = take_over(tmp_path, ABOUT | other)
    assert (receipts(found), found.suspects) == ([], {})
    found.settle()
    assert len(list(tmp_path.iterdir())) == stay


def test_torn_and_foreign_files_harm_nothing(worker: Worker, tmp_path: Path) -> None:
    worker.receives("a", "b")
    worker.dies()
    (notes,) = tmp_path.iterdir()
    notes.write_bytes(notes.read_bytes()[:-20])
    (tmp_path / "held-empty").touch()
    (tmp_path / "held-odd").write_bytes(b"\xff\x00 no JSON")
    (tmp_path / "held-other").write_text(json.dumps(ABOUT) + '\n{"ended": [7]}\n[]\n{"held": 1}\n')
    assert receipts(take_over(tmp_path, ABOUT)) == ["a"]


def test_notes_are_bounded(worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handover, "_REWRITE_BYTES", 2000)
    (kept,) = worker.receives("kept")
    for n in range(100):
        with worker.in_flight.ending(worker.receives(f"m{n}")):
            pass
    (notes,) = tmp_path.iterdir()
    assert notes.stat().st_size < 4000
    worker.dies()
    assert receipts(take_over(tmp_path, ABOUT)) == [kept.message.receipt]


def test_worker_without_a_folder_works_on(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    worker = Worker(tmp_path / "file")
    with worker.in_flight.ending(worker.receives("a")):
        pass
    assert worker.in_flight.counts().in_flight == 0
    assert take_over(tmp_path / "file", ABOUT).deliveries == []


def claimed(worker: Worker, folder: Path, sqs: Any, now: float) -> Takeover:
    worker.dies()
    found = take_over(folder, ABOUT)
    found.claim(cast("Queue", sqs), 60, now)
    return found


def test_claim_extends_what_is_ours_still(worker: Worker, tmp_path: Path) -> None:
    worker.receives("a", "b")
    sqs = Sqs()
    sqs.lost.add("b")
    found = claimed(worker, tmp_path, sqs, now=150.0)
    assert sqs.extended == [(["a", "b"], 60)]
    assert [(d.message.receipt, d.expires_at) for d in found.held(200.0)] == [("a", 210.0)]
    assert found.held(211.0) == [], "the boot took too long"


def test_claim_touches_nothing_that_may_be_anothers(worker: Worker, tmp_path: Path) -> None:
    worker.in_flight.enter_model(worker.receives("a"))
    sqs = Sqs()
    found = claimed(worker, tmp_path, sqs, now=161.0)
    assert (sqs.extended, found.deliveries) == ([], [])
    assert found.suspects == {"id-a": "id-a"}, "it may come back to us"


def test_claim_while_sqs_is_away_holds_what_time_is_left(worker: Worker, tmp_path: Path) -> None:
    worker.receives("a")
    sqs = Sqs()
    sqs.away = True
    found = claimed(worker, tmp_path, sqs, now=150.0)
    assert len(found.held(159.0)) == 1
    assert found.held(161.0) == []


def test_what_has_seen_many_workers_end_goes_back(worker: Worker, tmp_path: Path) -> None:
    for delivery in worker.receives("old", "young"):
        delivery.holders = handover.MOST_HOLDERS if delivery.message.receipt == "old" else 1
    worker.notes._rewrite()
    sqs = Sqs()
    found = claimed(worker, tmp_path, sqs, now=110.0)
    assert sqs.extended == [(["old"], 0), (["young"], 60)]
    assert receipts(found) == ["young"]


def test_folder_that_is_missing_is_made(tmp_path: Path) -> None:
    worker = Worker(tmp_path / "run")
    worker.receives("a")
    worker.dies()
    assert receipts(take_over(tmp_path / "run", ABOUT)) == ["a"]


def test_folder_that_cannot_be_made_ends_the_notes_alone(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    worker = Worker(tmp_path / "file" / "run")
    assert len(worker.receives("a")) == 1
    worker.dies()


def test_nothing_is_taken_from_a_folder_of_somebody_else(
    worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker.receives("a")
    worker.dies()
    monkeypatch.setattr("os.getuid", lambda: tmp_path.stat().st_uid + 1)
    assert receipts(take_over(tmp_path, ABOUT)) == []


def test_folder_that_cannot_be_read_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_path: Path) -> NoReturn:
        raise PermissionError

    monkeypatch.setattr(Path, "is_file", refuse)
    (tmp_path / "held-x").touch()
    assert receipts(take_over(tmp_path, ABOUT)) == []


def test_notes_that_cannot_be_removed_end_nothing(
    worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a disk that the kernel has made read-only; nobody takes them over a second time."""
    worker.receives("a")
    worker.dies()

    def refuse(_path: Path, missing_ok: bool = False) -> NoReturn:
        raise OSError(30, f"Read-only file system, {missing_ok}")

    monkeypatch.setattr(Path, "unlink", refuse)
    found = take_over(tmp_path, ABOUT)
    found.settle()
    assert receipts(found) == ["a"]
    assert receipts(take_over(tmp_path, ABOUT)) == []
    Worker(tmp_path).notes.close()
