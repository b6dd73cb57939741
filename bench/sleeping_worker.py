"""The real classifier, with a model that takes its time without a core of its own.

Run as `python -m bench.sleeping_worker ... SECONDS`, the rest as for the classifier: each image
takes the model that long, the time of its real answer included.
"""

import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

from visionfleet.imaging.model_input import Pixels
from visionfleetd.classifier import main as classifier


def slowed(model: Any, seconds: float) -> Any:
    """Have a batch take so many seconds for each of its images."""
    rank, never = model.rank, threading.Event()

    def slow(batch: Sequence[Pixels], top: int) -> Any:
        begun = time.monotonic()
        found = rank(batch, top)
        never.wait(max(0.0, seconds * len(batch) - (time.monotonic() - begun)))
        return found

    model.rank = slow
    return model


def main() -> None:
    seconds, opened = float(sys.argv.pop()), vars(classifier)["open_model"]

    def open_model(*arguments: Any) -> Any:
        return slowed(opened(*arguments), seconds)

    vars(classifier)["open_model"] = open_model
    classifier.main(sys.argv[1:])


if __name__ == "__main__":
    main()
