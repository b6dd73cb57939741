"""The classifier's child process: one image from stdin, one answer to stdout, no AWS."""

import os
import sys
from collections.abc import Sequence

from visionfleet.classifier.isolation import answer, refusal
from visionfleet.config import Config
from visionfleet.contract.messages import Ranked
from visionfleet.errors import BadImage
from visionfleet.imaging import decode
from visionfleet.imaging.preprocess import prepare
from visionfleet.model.open import open_model
from visionfleetd import startup

TOP = 1000  # the longest ranking that a request may ask for


def main(argv: Sequence[str] | None = None) -> None:
    # It is one image, and the GPU's memory is the worker's.
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    config = startup.configuration(startup.parser("isolated", __doc__ or "").parse_args(argv))
    try:
        print(answer(_classify(config, sys.stdin.buffer.read())))
    except BadImage as error:
        print(refusal(error))


def _classify(config: Config, data: bytes) -> tuple[Ranked, ...]:
    model = open_model(_plain(config), os.environ)
    image = decode.decode(data, config.images, model.preprocessing.resize)
    return model.rank([prepare(image, model.preprocessing)], TOP)[0]


def _plain(config: Config) -> Config:
    """Leave out what pays for many images only; the artefact is that of the worker."""
    model = config.model.model_copy(update={"threads": 1})
    classifier = config.classifier.model_copy(update={"batch_size": 1})
    return config.model_copy(update={"model": model, "classifier": classifier})


if __name__ == "__main__":
    main()
