"""Fixtures that tests of the classifier share."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from testkit.aws.embedded import Cloud, emptied
from testkit.classifier.daemon import (
    MAIN,
    PICTURES,
    REPLIES,
    Start,
    classifier_daemon,
    forked_classifier,
)
from testkit.images.models import table_model
from testkit.images.pictures import numbered
from testkit.processes.daemons import Process
from testkit.processes.fork_server import ForkServer, fork_server

SETTINGS = """
queue: {visibility_timeout_seconds: 8, wait_seconds: 2}
classifier: {report_seconds: 1, stop_seconds: 8}
"""


@pytest.fixture(scope="package")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer]:
    with fork_server(MAIN, tmp_path_factory.mktemp("forks") / "log", {}) as made:
        yield made


@pytest.fixture
def start(
    forks: ForkServer,
    aws: Cloud,
    models: dict[str, dict[str, str]],
    settings: str,
    tmp_path: Path,
) -> Start:
    """Start a classifier: `start("w0", model="slow", VISIONFLEET_...=...)`.

    `models` and `settings` are those of the module.
    """

    def begin(worker: str, *, model: str = "quick", **more: str) -> AbstractContextManager[Process]:
        variables = {**models[model], **more}
        if "PYTHONPATH" in more:  # which matters before the first import
            return classifier_daemon(aws, tmp_path, worker, settings, **variables)
        return forked_classifier(forks, aws, tmp_path, worker, settings, **variables)

    return begin


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """A table look-up model, quick and slow: about a quarter of a second per image.

    The slow one gets one thread, for what it does is to be slow, and that keeps a core free.
    """
    pictures = [numbered(i) for i in range(PICTURES)]
    labels = [f"label-{i}" for i in range(PICTURES)]
    made = {
        name: table_model(tmp_path_factory.mktemp(name), pictures, labels, rounds)
        for name, rounds in [("quick", 0), ("slow", 60)]
    }
    made["slow"]["VISIONFLEET_MODEL__THREADS"] = "1"
    return made


@pytest.fixture
def aws(running_aws: Cloud) -> Cloud:
    made = emptied(running_aws, {"VisibilityTimeout": "8"})
    made.sqs.create_queue(QueueName=REPLIES)
    return made


@pytest.fixture
def settings() -> str:
    return SETTINGS
