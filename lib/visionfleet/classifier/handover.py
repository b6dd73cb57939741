"""A local journal of the messages in flight: the worker that replaces a dead one resumes them.

A file costs a line per message and survives a SIGKILL of all processes. The receipt handles stay
valid, so resuming does not use up a delivery. The file of a live worker is locked.
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
from visionfleet.classifier.in_flight import Delivery, Journal, names
from visionfleet.errors import VisionfleetError

log = logging.getLogger("classifier")

# A message held by so many dead workers is returned to the queue: an unknown fault may be its own,
# or the machine's.
MOST_HOLDERS = 3
_REWRITE_BYTES = 1 << 20
_PREFIX = "held-"


def folder_of(environment: Mapping[str, str]) -> Path:
    """The folder shared by this machine's workers: systemd's runtime directory, or one in /tmp."""
    given = environment.get("RUNTIME_DIRECTORY", "").split(":")[0]
    return Path(given or Path(tempfile.gettempdir()) / f"visionfleet-{os.getuid()}")


def journal_header(queue_url: str) -> dict[str, str]:
    """The header: entries are valid for one queue and one boot, as monotonic clocks restart."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return {"queue": queue_url, "boot": boot}


class HandoverJournal(Journal):
    """The journal of one worker, called by one thread at a time; on a full disk it stops."""

    def __init__(self, folder: Path, about: Mapping[str, str]) -> None:
        self._about = about
        self._numbers: dict[Delivery, int] = {}
        self._next = itertools.count()
        self._size = 0
        self._fd: int | None = None
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _require_ours(folder)
            self._fd, self._path = tempfile.mkstemp(prefix=_PREFIX, dir=folder)
            fcntl.flock(self._fd, fcntl.LOCK_EX)
        except OSError as error:
            self._give_up(error)
        self._write(about)

    def held(self, deliveries: Iterable[Delivery]) -> None:
        for delivery in deliveries:
            self._numbers[delivery] = next(self._next)
            self._write(self._entry(delivery))
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
        """Close the journal, and remove it unless deliveries are still held."""
        if self._fd is not None:
            if not self._numbers:
                _remove(Path(self._path))
            os.close(self._fd)
            self._fd = None

    def _entry(self, delivery: Delivery) -> dict[str, object]:
        return {
            "held": self._numbers[delivery],
            "message": asdict(delivery.message),
            "received_at": delivery.received_at,
            "expires_at": delivery.expires_at,
            "lives": delivery.holders,
            "suspect": delivery.suspect,
        }

    def _rewrite(self) -> None:
        """Compact the journal. If the process is killed just here, SQS redelivers instead."""
        if self._fd is not None:
            os.ftruncate(self._fd, 0)
            os.lseek(self._fd, 0, os.SEEK_SET)
            self._size = 0
            for entry in (self._about, *map(self._entry, self._numbers)):
                self._write(entry)

    def _write(self, entry: Mapping[str, object]) -> None:
        if self._fd is None:
            return
        try:
            self._size += os.write(self._fd, f"{json.dumps(entry)}\n".encode())
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        log.warning("nothing is handed over", extra={"reason": str(error)})
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


@dataclass(slots=True)
class Takeover:
    """What dead workers held.

    `suspects` maps message ids, also of expired deliveries, to the crash that makes them suspect.
    """

    deliveries: list[Delivery] = field(default_factory=list)
    suspects: dict[str, str] = field(default_factory=dict)
    _settle: list[Callable[[], None]] = field(default_factory=list)

    def claim(self, requests: Queue, visibility_seconds: int, now: float) -> None:
        """Extend visibility for a boot; return messages that too many workers died with."""
        ours = [d for d in self.deliveries if d.expires_at > now]
        exhausted = [d for d in ours if d.holders > MOST_HOLDERS]
        self.deliveries = [d for d in ours if d.holders <= MOST_HOLDERS]
        fields = {"messages": len(self.deliveries), "jobs": names(self.deliveries)}
        try:
            requests.extend([d.message.receipt for d in exhausted], 0)
            receipts = [d.message.receipt for d in self.deliveries]
            failed = requests.extend(receipts, visibility_seconds)
        except VisionfleetError as error:  # the old visibility timeout still holds
            log.warning("taken over", extra=fields | {"reason": str(error)})
            return
        self.deliveries = [d for d in self.deliveries if d.message.receipt not in failed]
        for delivery in self.deliveries:
            delivery.expires_at = now + visibility_seconds
        if ours:
            log.info("taken over", extra=fields | {"suspects": len(self.suspects)})

    def held(self, now: float) -> list[Delivery]:
        return [delivery for delivery in self.deliveries if delivery.expires_at > now]

    def settle(self) -> None:
        """Remove the journals of dead workers: this worker's own now has their deliveries."""
        while self._settle:
            self._settle.pop()()


def take_over(folder: Path, about: Mapping[str, str]) -> Takeover:
    """Read the journals of this machine's dead workers for this queue and boot."""
    found = Takeover()
    try:
        paths = _journals(folder)
    except OSError as error:
        log.warning("nothing is taken over", extra={"reason": str(error)})
        return found
    for path in paths:
        try:
            _take(path, about, found)
        except OSError as error:
            log.warning("nothing is taken over", extra={"reason": str(error)})
    return found


def _journals(folder: Path) -> list[Path]:
    if not folder.exists():
        return []
    _require_ours(folder)
    return list(filter(Path.is_file, sorted(folder.glob(f"{_PREFIX}*"))))


def _require_ours(folder: Path) -> None:
    """Others may make a folder in /tmp first, and write journals there."""
    if folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder} is somebody else's")


def _take(path: Path, about: Mapping[str, str], found: Takeover) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        entries = read_entries(path.read_bytes().decode(errors="replace").splitlines())
    except BlockingIOError:  # its worker is alive
        entries = []
    if not entries:  # or it is just being created
        os.close(fd)
        return
    header = entries[0] if isinstance(entries[0], dict) else {}
    if header.get("boot") == about["boot"] and header.get("queue") != about["queue"]:
        os.close(fd)  # belongs to another queue
        return
    deliveries = replay(entries) if header == about else []
    found.deliveries += deliveries
    found.suspects |= {d.message.message_id: d.suspect for d in deliveries if d.suspect}

    def settle() -> None:
        if _remove(path):
            os.close(fd)  # else it stays locked, so that nobody else takes over the same

    found._settle.append(settle)


def _remove(path: Path) -> bool:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:  # the disk became read-only
        log.warning("journal not removed", extra={"reason": str(error)})
        return False
    return True


def read_entries(lines: Iterable[str]) -> list[dict[str, Any]]:
    """Parse the entries written completely: the last line may be torn."""
    entries = []
    for line in lines:
        try:
            entries.append(json.loads(line))
        except ValueError:
            break
    return entries


def replay(entries: Iterable[Mapping[str, Any]]) -> list[Delivery]:
    """Replay a journal; the deliveries that were in the model are suspects."""
    held: dict[int, Delivery] = {}
    in_model: list[int] = []
    for entry in entries:
        try:
            in_model = entry.get("in_model", in_model)
            _replay(entry, held)
        except (AttributeError, KeyError, TypeError) as error:  # not a journal
            log.warning("nothing is taken over", extra={"reason": repr(error)})
            break
    suspects = [held[number] for number in in_model if number in held]
    for delivery in suspects:
        delivery.suspect = suspects[0].message.message_id
    return list(held.values())


def _replay(entry: Mapping[str, Any], held: dict[int, Delivery]) -> None:
    if "held" in entry:
        message = Received(**entry["message"])
        times = entry["received_at"], entry["expires_at"]
        holders, suspect = entry["lives"] + 1, entry["suspect"]
        held[entry["held"]] = Delivery(message, *times, holders=holders, suspect=suspect)
    if "extended" in entry and entry["extended"] in held:
        held[entry["extended"]].expires_at = entry["until"]
    for number in entry.get("ended", ()):
        held.pop(number, None)
