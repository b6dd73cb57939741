"""The classifier's child process with a model of its own, for images that may crash a worker."""

import json
import os
from collections.abc import Sequence

import numpy as np

from visionfleet.config import Config
from visionfleet.host.child import Header, serve
from visionfleet.model.open import open_model
from visionfleetd import startup

TOP = 1000  # the longest ranking that a request may ask for
REASON_LETTERS = 2000


def main(argv: Sequence[str] | None = None) -> None:
    # One image at a time needs no GPU, and its memory belongs to the worker.
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    config = startup.configuration(startup.parser("isolated", __doc__ or "").parse_args(argv))
    model = open_model(_single_image(config), os.environ)
    side = model.preprocessing.crop

    def ranked(_question: Header, data: bytes) -> tuple[Header, bytes]:
        pixels = np.frombuffer(bytearray(data), np.uint8).reshape(side, side, 3)
        try:
            ((ranking, vector),) = model.rank_and_embed([pixels], TOP)
        except RuntimeError as error:
            return {"failed": str(error).strip().splitlines()[-1][:REASON_LETTERS]}, b""
        answer = {"ranking": [one.model_dump() for one in ranking], "vector": vector}
        return {}, json.dumps(answer).encode()

    serve(ranked)


def _single_image(config: Config) -> Config:
    """Turn off batching and threads; the artefact is the worker's."""
    model = config.model.model_copy(update={"threads": 1})
    classifier = config.classifier.model_copy(update={"batch_size": 1})
    return config.model_copy(update={"model": model, "classifier": classifier})


if __name__ == "__main__":
    main()
