"""The classifier's child process: one image from stdin, one answer to stdout, no AWS."""

import os
import sys
from collections.abc import Sequence

from visionfleet import images
from visionfleet.config import Config
from visionfleet.connections import fetcher
from visionfleet.errors import BadImage
from visionfleet.messages import Ranked
from visionfleet.model.inference import Inference, Settings
from visionfleet.model.loading import load
from visionfleet.model.source import Source, cache_folder
from visionfleet.pipeline.isolation import answer, refusal
from visionfleet.preprocessing import prepare
from visionfleetd import startup

TOP = 1000  # the longest ranking that a request may ask for


def main(argv: Sequence[str] | None = None) -> None:
    """Classify what comes on stdin."""
    config = startup.configuration(startup.parser("isolated", __doc__ or "").parse_args(argv))
    try:
        print(answer(_classify(config, sys.stdin.buffer.read())))
    except BadImage as error:
        print(refusal(error))


def _classify(config: Config, data: bytes) -> tuple[Ranked, ...]:
    limits = images.Limits(config.images.max_bytes, config.images.max_pixels, config.images.formats)
    source = Source(fetcher(config.aws), cache_folder(config.model.cache_directory, os.environ))
    plain = Settings(device="cpu", precision="float32")  # a trial would be for one image
    model = Inference(load(config.model, source), batch_size=1, threads=1, settings=plain)
    image = images.decode(data, limits, model.preprocessing.resize)
    return model.rank([prepare(image, model.preprocessing)], TOP)[0]


if __name__ == "__main__":
    main()
