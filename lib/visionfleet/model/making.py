"""From the configuration to an artefact, also as a process of its own that a worker starts.

The process takes its imports with it: torch alone would leave 500 MiB in a worker that does not use
it. It reads the configuration from stdin and writes the artefact to the named file; errors go to
stdout.
"""

import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from visionfleet.aws.clients import client_factory
from visionfleet.aws.s3 import Store
from visionfleet.config import Config
from visionfleet.config.schema import AwsSection
from visionfleet.errors import BadModel, TryLater
from visionfleet.host import cpu_quota
from visionfleet.model import artefact, processor
from visionfleet.model.artefact import Artefact
from visionfleet.model.artefact_store import ArtefactStore, key_of
from visionfleet.model.choice import Asked
from visionfleet.model.published_names import check_names
from visionfleet.model.source import Source, cache_folder, write_for_daemons

BAD_MODEL, TRY_LATER = 78, 75  # EX_CONFIG and EX_TEMPFAIL of sysexits.h
_LIMIT_SECONDS = 280.0  # below the limit of a start on EC2, 300 s


def source_of(config: Config) -> Source:
    return Source(partial(_fetch, config.aws), cache_folder(os.environ))


def _fetch(settings: AwsSection, bucket: str, key: str) -> bytes:
    return Store(client_factory(settings).client("s3"), bucket).get(key)


def make(config: Config, asked: Asked | None = None) -> bytes:
    """Make the configured model's artefact; raises BadModel, and TryLater if S3 fails."""
    check_names(config.model)
    # Imports torch.
    from visionfleet.model.building import made

    cpu_quota.yield_while_waiting(os.environ)
    return made(config, source_of(config), os.environ, asked)


def build(
    config: Config, folder: Path | None, share: bool, asked: Asked | None = None
) -> tuple[Artefact, Path]:
    """Build it anew, and store it; raises like `make`."""
    key = key_of(config.model, source_of(config), processor.here(os.environ))
    s3 = client_factory(config.aws).client("s3") if share else None
    bucket = Store(s3, config.storage.output_bucket) if s3 else None
    store = ArtefactStore((folder or cache_folder(os.environ),), bucket)
    data = make(config, asked)
    path = store.path(key)
    write_for_daemons(path, data)
    if share:
        store.share(key, data)
    return artefact.open_file(path), path


def make_apart(config: Config) -> bytes:
    """Make it in a separate process; raises like `make`."""
    check_names(config.model)
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, "artefact")
        command = (sys.executable, "-m", "visionfleet.model.making", str(made))
        text = config.model_dump_json().encode()
        try:
            done = subprocess.run(command, input=text, capture_output=True, timeout=_LIMIT_SECONDS)
        except subprocess.TimeoutExpired as error:
            limit = f"{_LIMIT_SECONDS:.0f} s"
            raise BadModel(f"its artefact was not made within {limit}: bake it") from error
        if done.returncode == 0:
            return made.read_bytes()
        reason = done.stdout.decode(errors="replace").strip()
        if done.returncode == BAD_MODEL:
            raise BadModel(reason)
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise TryLater(reason or f"the artefact's maker ended with {done.returncode}: {last}")


def main() -> None:
    config = Config.model_validate_json(sys.stdin.buffer.read())
    try:
        Path(sys.argv[1]).write_bytes(make(config))
    except (BadModel, TryLater) as error:
        print(error)
        sys.exit(BAD_MODEL if isinstance(error, BadModel) else TRY_LATER)


if __name__ == "__main__":
    main()
