"""The real classifier for tests."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from testkit.aws.embedded import Cloud
from testkit.processes.daemons import Process, started_module

Start = Callable[..., AbstractContextManager[Process]]


@contextmanager
def classifier_daemon(
    aws: Cloud, folder: Path, worker: str, settings: str, **variables: str
) -> Iterator[Process]:
    """Start a classifier without waiting for it; its log is `folder`/`worker`.log."""
    config = folder / "visionfleet.yaml"
    config.write_text(settings)
    with started_module(
        "visionfleetd.classifier.main",
        *("--config", str(config), "--worker", worker),
        log=folder / f"{worker}.log",
        env={**aws.environment, **variables},
        stop_seconds=20,
    ) as process:
        yield process
