"""One baked image, and the embedded AWS that it was made at, for all tests of it."""

from collections.abc import Iterator

import pytest

from testkit import pages
from testkit.aws.embedded import Cloud, cloud
from testkit.machine.image import BakedImage, amis, baked_image


@pytest.fixture(scope="session")
def image_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    folder = tmp_path_factory.mktemp("aws")
    with cloud(folder, {"VisibilityTimeout": "60"}, amis(folder)) as made:
        yield made


@pytest.fixture(scope="session")
def baked(tmp_path_factory: pytest.TempPathFactory, image_aws: Cloud) -> Iterator[BakedImage]:
    # Both pages name the same command, with words of their own beside it.
    lines = [*pages.typed_by(pages.IMAGE, "docs/ami.md"), *pages.typed_by(pages.IMAGE, "README.md")]
    (command,) = {line.partition("#")[0].strip() for line in lines}
    with baked_image(tmp_path_factory.mktemp("bake"), command, image_aws) as made:
        yield made
