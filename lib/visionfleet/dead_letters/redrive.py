"""Redrives dead letters: by an SQS move task, or one by one where that is not supported."""

import hashlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass

from visionfleet.aws.sqs import Queue
from visionfleet.aws.sqs_move_tasks import Move, MoveTasks
from visionfleet.dead_letters.inspect import DeadLetter, DeadLetterSample
from visionfleet.errors import GiveUp, TryLater

POLL_SECONDS = 1.0
UNSEEN_POLLS = 10  # SQS may take a moment to list a new task


def by_task(tasks: MoveTasks, before: Move | None, wait: Callable[[float], None]) -> Iterator[Move]:
    """Follow the task started after `before`; raises GiveUp if it did not complete."""
    unseen = 0
    while (move := tasks.latest()) is None or move == before:
        unseen += 1
        if unseen > UNSEEN_POLLS:
            raise TryLater("the move task was started, but SQS does not list it")
        wait(POLL_SECONDS)
    while move.running:
        yield move
        wait(POLL_SECONDS)
        move = tasks.latest() or move
    yield move
    if move.status != "COMPLETED":
        raise GiveUp(f"the move task ended as {move.status}: {move.reason or 'no reason given'}")


@dataclass(slots=True)
class Throttle:
    per_second: float | None
    clock: Callable[[], float]
    wait: Callable[[float], None]
    _next: float = 0.0

    def step(self) -> None:
        if self.per_second is None:
            return
        now = self.clock()
        if self._next > now:
            self.wait(self._next - now)
        self._next = max(now, self._next) + 1 / self.per_second


@dataclass(frozen=True, slots=True)
class MoveOneByOne:
    """Sends each dead letter to the requests, then deletes it: at least once.

    Undecodable ones return as new dead letters, so a body is moved only once per run.
    """

    dead: Queue
    requests: Queue
    throttle: Throttle
    only_decodable: bool

    def run(self, limit: int | None) -> Generator[DeadLetter]:
        moved_texts: set[bytes] = set()
        moved = 0
        with DeadLetterSample(self.dead) as sample:
            for each in sample.dead_letters():
                if moved == limit:
                    return
                message = each.delivery.message
                digest = hashlib.blake2b(message.body.encode(), digest_size=16).digest()
                if digest in moved_texts or (self.only_decodable and each.request is None):
                    continue
                self.throttle.step()
                self.requests.send(message.body)
                for error in self.dead.delete([message.receipt]).values():
                    raise TryLater(f"moved, but still among the dead letters: {error}")
                sample.forget(each)
                moved_texts.add(digest)
                moved += 1
                yield each
