"""What S3 and SQS answer is tested at two emulators; where they differ, AWS's documents decide."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from testkit.aws.embedded import Cloud, cloud
from testkit.aws.emulator_differences import PAGE, differences
from testkit.aws.ministack import ministack

EMULATORS: dict[str, Callable[[Path], AbstractContextManager[Cloud]]] = {
    "moto": cloud,
    "ministack": ministack,
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Expect the failures that docs/emulators.md lists, and nothing else."""
    known = differences(PAGE.read_text())
    for item in items:
        spec = getattr(item, "callspec", None)
        given = spec.params if spec else {}
        case = str(given.get("case") or getattr(item, "originalname", ""))
        if does := known.get((str(given.get("running_aws")), case)):
            item.add_marker(pytest.mark.xfail(strict=True, reason=does))


@pytest.fixture(scope="session", params=EMULATORS)
def running_aws(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cloud]:
    with EMULATORS[request.param](tmp_path_factory.mktemp(request.param)) as made:
        yield made
