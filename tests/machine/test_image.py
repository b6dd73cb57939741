"""The image: baked by Packer over real SSH, booted as a worker."""

from collections.abc import Iterator

import pytest

from tests.support.cloud import Cloud, cloud
from tests.support.image import Image, amis, image

pytestmark = [pytest.mark.needs_torch, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    folder = tmp_path_factory.mktemp("aws")
    with cloud(folder, {"VisibilityTimeout": "60"}, amis(folder)) as made:
        yield made


@pytest.fixture(scope="module")
def baked(tmp_path_factory: pytest.TempPathFactory, aws: Cloud) -> Iterator[Image]:
    with image(tmp_path_factory.mktemp("bake"), aws) as made:
        yield made


def test_the_template_is_built_and_the_image_verified(baked: Image, aws: Cloud) -> None:
    print(baked.output)
    assert "the image is as it should be" in baked.output
    assert baked.id.startswith("us-east-1:ami-") or baked.id.startswith("ami-")
