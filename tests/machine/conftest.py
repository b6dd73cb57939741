"""One booted machine with the whole service for all tests here; AWS runs outside of it."""

from collections.abc import Iterator

import pytest

from testkit.machine.host import CLASSIFIERS, SCALER, WEB, Host, host
from testkit.machine.root import root_folder

# The shipped watchdogs are for real life; tests wait less long.
WATCHDOGS = {WEB: 6.0, SCALER: 8.0, **dict.fromkeys(CLASSIFIERS, 6.0)}


@pytest.fixture(scope="session")
def idle_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    root_folder()
    with host(tmp_path_factory.mktemp("machine"), WATCHDOGS) as made:
        yield made


@pytest.fixture
def service(idle_host: Host) -> Host:
    """The machine with all daemons up, whatever the test before has left."""
    idle_host.machine.systemctl("reset-failed")
    # Both: a start goes through a target only where that is not reached already.
    idle_host.machine.systemctl("start", "visionfleet.target", "visionfleet-classifiers.target")
    return idle_host
