"""Classifies one image alone in a child process, for an image that may have killed a worker."""

import json
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from visionfleet.contract.messages import Ranked
from visionfleet.errors import BadImage, TryLater

CRASHED = "crashed"
_STOPS = {signal.SIGHUP, signal.SIGINT, signal.SIGTERM}


class ChildFailed(TryLater):
    """The child failed for a reason of its own; it says nothing about the image, nor about S3."""


@dataclass(frozen=True, slots=True)
class Isolation:
    """`command` reads an image and prints an `answer` or `refusal`; it loads the model anew."""

    command: tuple[str, ...]
    limit_seconds: float

    def classify(self, data: bytes) -> tuple[Ranked, ...]:
        """Best first. Raises BadImage for one refused or that ends the child, else ChildFailed."""
        try:
            done = subprocess.run(
                self.command, input=data, stdout=subprocess.PIPE, timeout=self.limit_seconds
            )
        except subprocess.TimeoutExpired as error:
            sentence = f"the image was not classified within {self.limit_seconds:g} s"
            raise BadImage(CRASHED, sentence) from error
        ended_by = -done.returncode
        if ended_by in _STOPS:  # systemd stops a worker's children with it
            raise ChildFailed("the child process was stopped")
        if ended_by > 0:
            sentence = f"the image ends the process that classifies it, with signal {ended_by}"
            raise BadImage(CRASHED, sentence)
        if ended_by < 0:
            raise ChildFailed(f"the child process ended with status {done.returncode}")
        return _read(done.stdout)


def answer(ranking: Sequence[Ranked]) -> str:
    return json.dumps({"top": [ranked.model_dump() for ranked in ranking]})


def refusal(error: BadImage) -> str:
    return json.dumps({"code": error.code, "reason": str(error)})


def _read(printed: bytes) -> tuple[Ranked, ...]:
    said = json.loads(printed)
    if "code" in said:
        raise BadImage(said["code"], said["reason"])
    return tuple(Ranked(**ranked) for ranked in said["top"])
