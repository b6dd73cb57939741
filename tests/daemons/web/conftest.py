"""Fixtures that tests of the web daemon share."""

from collections.abc import Iterator

import pytest

from testkit.aws.embedded import Cloud
from testkit.web.daemon import Web, web_daemon


@pytest.fixture(scope="module")
def web(aws: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """A web daemon for all tests of a module, which makes its `aws` with the scope of a module."""
    with web_daemon(aws, tmp_path_factory.mktemp("web")) as made:
        yield made
