"""What a worker holds, noted in a file: the next life of one that dies takes it over at once.

A file and no parent process: it costs a line per message, and outlives a KILL of all. The receipts
stay good, so what is taken over has no delivery more. A file whose worker lives is locked.
"""

import fcntl
import itertools
import json
import logging
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from visionfleet.aws.sqs import Queue, Received
from visionfleet.classifier.in_flight import Delivery, Notes, names
from visionfleet.errors import VisionfleetError

log = logging.getLogger("classifier")

# What has seen so many workers end may be at fault in a way that nobody noted, or the machine is.
MOST_LIVES = 3
_REWRITE_BYTES = 1 << 20
_PREFIX = "held-"


def folder_of(environment: Mapping[str, str]) -> Path:
    """Find the folder that the workers of this machine share, systemd's or one of our own."""
    given = environment.get("RUNTIME_DIRECTORY", "").split(":")[0]
    return Path(given or Path(tempfile.gettempdir()) / f"visionfleet-{os.getuid()}")


def notes_about(queue_url: str) -> dict[str, str]:
    """Say what notes are good for: another boot's monotonic clock means nothing."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return {"queue": queue_url, "boot": boot}


class HandoverFile(Notes):
    """The notes of one worker. Its calls come one at a time; a full disk ends the notes alone."""

    def __init__(self, folder: Path, about: Mapping[str, str]) -> None:
        self._about = about
        self._numbers: dict[Delivery, int] = {}
        self._next = itertools.count()
        self._size = 0
        self._fd: int | None = None
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if folder.stat().st_uid != os.getuid():
                raise PermissionError(f"{folder} is somebody else's")
            self._fd, self._path = tempfile.mkstemp(prefix=_PREFIX, dir=folder)
            fcntl.flock(self._fd, fcntl.LOCK_EX)
        except OSError as error:
            self._give_up(error)
        self._write(about)

    def held(self, deliveries: Iterable[Delivery]) -> None:
        for delivery in deliveries:
            self._numbers[delivery] = next(self._next)
            self._write(self._note(delivery))
        if self._size > _REWRITE_BYTES:
            self._rewrite()

    def extended(self, delivery: Delivery) -> None:
        if delivery in self._numbers:
            self._write({"extended": self._numbers[delivery], "until": delivery.expires_at})

    def ended(self, deliveries: Iterable[Delivery]) -> None:
        gone = [self._numbers.pop(each) for each in deliveries if each in self._numbers]
        if gone:
            self._write({"ended": gone})

    def in_model(self, deliveries: Iterable[Delivery]) -> None:
        self._write({"in_model": [self._numbers[d] for d in deliveries if d in self._numbers]})

    def close(self) -> None:
        """Leave nothing behind, unless something is held still."""
        if self._fd is not None:
            if not self._numbers:
                Path(self._path).unlink(missing_ok=True)
            os.close(self._fd)
            self._fd = None

    def _note(self, delivery: Delivery) -> dict[str, object]:
        return {
            "held": self._numbers[delivery],
            "message": asdict(delivery.message),
            "received_at": delivery.received_at,
            "expires_at": delivery.expires_at,
            "lives": delivery.lives,
            "suspect": delivery.suspect,
        }

    def _rewrite(self) -> None:
        """Keep what is held. Who is killed just here hands over nothing: SQS does, later."""
        if self._fd is not None:
            os.ftruncate(self._fd, 0)
            os.lseek(self._fd, 0, os.SEEK_SET)
            self._size = 0
            for note in (self._about, *map(self._note, self._numbers)):
                self._write(note)

    def _write(self, note: Mapping[str, object]) -> None:
        if self._fd is None:
            return
        try:
            self._size += os.write(self._fd, f"{json.dumps(note)}\n".encode())
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        log.warning("nothing is handed over", extra={"reason": str(error)})
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


@dataclass(slots=True)
class Takeover:
    """What dead workers held. `suspects` are ids of messages, also of what is theirs no more, with
    a name of the end that makes each of them one.
    """

    deliveries: list[Delivery] = field(default_factory=list)
    suspects: dict[str, str] = field(default_factory=dict)
    _settle: list[Callable[[], None]] = field(default_factory=list)

    def claim(self, requests: Queue, visibility_seconds: int, now: float) -> None:
        """Hold it for a boot's time; what has seen too many workers end goes back at once."""
        ours = [d for d in self.deliveries if d.expires_at > now]
        tired = [d for d in ours if d.lives > MOST_LIVES]
        self.deliveries = [d for d in ours if d.lives <= MOST_LIVES]
        fields = {"messages": len(self.deliveries), "jobs": names(self.deliveries)}
        try:
            requests.extend([d.message.receipt for d in tired], 0)
            receipts = [d.message.receipt for d in self.deliveries]
            failed = requests.extend(receipts, visibility_seconds)
        except VisionfleetError as error:  # then they are ours for no longer than they were
            log.warning("taken over", extra=fields | {"reason": str(error)})
            return
        self.deliveries = [d for d in self.deliveries if d.message.receipt not in failed]
        for delivery in self.deliveries:
            delivery.expires_at = now + visibility_seconds
        if ours:
            log.info("taken over", extra=fields | {"suspects": len(self.suspects)})

    def taken(self, now: float) -> list[Delivery]:
        """Give what is ours still."""
        return [delivery for delivery in self.deliveries if delivery.expires_at > now]

    def settle(self) -> None:
        """Remove the notes of the dead: from here on they are in our own."""
        while self._settle:
            self._settle.pop()()


def take_over(folder: Path, about: Mapping[str, str]) -> Takeover:
    """Find what the dead of this machine held of that queue, in this boot."""
    found = Takeover()
    for path in sorted(folder.glob(f"{_PREFIX}*")):
        try:
            _take(path, about, found)
        except OSError as error:
            log.warning("nothing is taken over", extra={"reason": str(error)})
    return found


def _take(path: Path, about: Mapping[str, str], found: Takeover) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        notes = read_notes(path.read_bytes().decode(errors="replace").splitlines())
    except BlockingIOError:  # its worker lives
        notes = []
    if not notes:  # or it is just being made
        os.close(fd)
        return
    said = notes[0] if isinstance(notes[0], dict) else {}
    if said.get("boot") == about["boot"] and said.get("queue") != about["queue"]:
        os.close(fd)  # for others to take
        return
    deliveries = held_at_the_end(notes) if said == about else []
    found.deliveries += deliveries
    found.suspects |= {d.message.message_id: d.suspect for d in deliveries if d.suspect}

    def settle() -> None:
        path.unlink(missing_ok=True)
        os.close(fd)

    found._settle.append(settle)


def read_notes(lines: Iterable[str]) -> list[dict[str, Any]]:
    """Read what was written whole: the last line may be torn."""
    notes = []
    for line in lines:
        try:
            notes.append(json.loads(line))
        except ValueError:
            break
    return notes


def held_at_the_end(notes: Iterable[Mapping[str, Any]]) -> list[Delivery]:
    """Replay notes; suspect is what was in the model."""
    held: dict[int, Delivery] = {}
    in_model: list[int] = []
    for note in notes:
        try:
            in_model = note.get("in_model", in_model)
            _replay(note, held)
        except (AttributeError, KeyError, TypeError) as error:  # nothing of ours
            log.warning("nothing is taken over", extra={"reason": repr(error)})
            break
    suspects = [held[number] for number in in_model if number in held]
    for delivery in suspects:
        delivery.suspect = suspects[0].message.message_id
    return list(held.values())


def _replay(note: Mapping[str, Any], held: dict[int, Delivery]) -> None:
    if "held" in note:
        message = Received(**note["message"])
        times = note["received_at"], note["expires_at"]
        lives, suspect = note["lives"] + 1, note["suspect"]
        held[note["held"]] = Delivery(message, *times, lives=lives, suspect=suspect)
    if "extended" in note and note["extended"] in held:
        held[note["extended"]].expires_at = note["until"]
    for number in note.get("ended", ()):
        held.pop(number, None)
