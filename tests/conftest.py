"""Fixtures that tests of several kinds share."""

from collections.abc import Iterator

import pytest

from testkit.aws.embedded import NAME, Cloud, cloud, emptied


@pytest.fixture(scope="session")
def running_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """An embedded AWS that tests empty for themselves, one after the other."""
    with cloud(tmp_path_factory.mktemp("aws")) as made:
        yield made


@pytest.fixture
def aws(running_aws: Cloud) -> Cloud:
    """An embedded AWS that is empty before each test."""
    return emptied(running_aws)


@pytest.fixture
def no_requests(aws: Cloud) -> None:
    """Leave no request of an earlier test to a later one's stand-in."""
    while aws.receive(f"{NAME}-requests"):
        pass
