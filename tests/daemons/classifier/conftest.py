"""What tests of the classifier share."""

from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from testkit.aws.embedded import Cloud
from testkit.classifier.daemon import Start, classifier_daemon
from testkit.processes.daemons import Process


@pytest.fixture
def start(aws: Cloud, models: dict[str, dict[str, str]], settings: str, tmp_path: Path) -> Start:
    """Start a classifier: `start("w0", model="slow", VISIONFLEET_...=...)`.

    `models` and `settings` are those of the module.
    """

    def begin(worker: str, *, model: str = "quick", **more: str) -> AbstractContextManager[Process]:
        return classifier_daemon(aws, tmp_path, worker, settings, **{**models[model], **more})

    return begin
