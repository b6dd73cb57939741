"""What tests of different kinds share."""

from collections.abc import Iterator

import pytest

from testkit.aws.embedded import Cloud, cloud


@pytest.fixture(scope="session")
def running_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """An embedded AWS that tests empty for themselves, one after the other."""
    with cloud(tmp_path_factory.mktemp("aws")) as made:
        yield made
