"""Fixtures that tests of the web daemon share."""

from collections.abc import Iterator

import pytest

from testkit.aws.embedded import Cloud
from testkit.web.daemon import Web, web_daemon


@pytest.fixture(scope="module")
def web(
    aws: Cloud, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Web]:
    """A web daemon for all tests of a module, with its `WEB_SETTINGS`, if it has some.

    The module makes its `aws` with the scope of a module.
    """
    settings: dict[str, str] = getattr(request.module, "WEB_SETTINGS", {})
    with web_daemon(aws, tmp_path_factory.mktemp("web"), **settings) as made:
        yield made
