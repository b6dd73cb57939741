"""Images that S3 refuses: one of them, or all."""

from typing import cast

import pytest

from testkit.aws.fakes import Clock
from visionfleet.aws.s3 import Store
from visionfleet.classifier.uploads import UploadedImages
from visionfleet.errors import Denied, GiveUp, NotFound, TryLater, Unfit


class S3:
    """Objects, and what is raised for some or all of them."""

    def __init__(self) -> None:
        self.objects = {"images/a": b"a", "images/b": b"b"}
        self.refused: dict[str, Exception] = {}
        self.all: Exception | None = None
        self.decrypts = True

    def get(self, key: str, _most_bytes: int = 0) -> bytes:
        if self.all or key in self.refused:
            raise self.all or self.refused[key]
        if key not in self.objects:
            raise NotFound(key)
        return self.objects[key]

    def get_start(self, key: str, size: int) -> bytes:
        return self.get(key)[:size]


@pytest.fixture
def s3() -> S3:
    return S3()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def images(s3: S3, clock: Clock) -> UploadedImages:
    return UploadedImages(cast(Store, s3), clock)


def tries(images: UploadedImages, clock: Clock, seconds: float) -> list[type[Exception]]:
    """Try to read image b once in two seconds for so long; returns what came of each."""
    end, found = clock.now + seconds, list[type[Exception]]()
    while clock.now <= end:
        try:
            images.read("images/b", 9)
        except (TryLater, GiveUp) as error:
            found.append(type(error))
        clock.now += 2
    return found


@pytest.mark.parametrize("error", [Denied("tagged"), GiveUp("KMS.DisabledException")])
def test_one_refused_image_is_unfit_after_some_tries(
    s3: S3, images: UploadedImages, clock: Clock, error: Exception
) -> None:
    images.read("images/a", 9)
    s3.refused["images/b"] = error
    assert tries(images, clock, 8) == [*[type(error)] * 4, Unfit]


def test_refusal_of_all_is_never_one_images_fault(
    s3: S3, images: UploadedImages, clock: Clock
) -> None:
    images.read("images/a", 9)
    s3.all = Denied("the policy is being replaced")
    assert Unfit not in tries(images, clock, 600)
    s3.all = None
    assert images.read("images/b", 9) == b"b"


def test_refusals_before_all_were_refused_do_not_count(
    s3: S3, images: UploadedImages, clock: Clock
) -> None:
    images.read("images/a", 9)
    s3.refused["images/b"] = Denied("not known everywhere yet")
    assert Unfit not in tries(images, clock, 4)
    s3.all = Denied("the policy is being replaced")
    tries(images, clock, 60)
    s3.all = None
    assert Unfit not in tries(images, clock, 4)


def test_worker_that_has_read_no_image_takes_longer_to_be_sure(
    s3: S3, images: UploadedImages, clock: Clock
) -> None:
    s3.refused["images/b"] = Denied("tagged")
    assert Unfit not in tries(images, clock, 80)
    assert Unfit in tries(images, clock, 20)


def test_image_that_alone_is_not_answered_is_unfit_in_the_end(
    s3: S3, images: UploadedImages, clock: Clock
) -> None:
    images.read("images/a", 9)
    s3.refused["images/b"] = TryLater("InternalError")
    assert tries(images, clock, 898) == [TryLater] * 450
    assert tries(images, clock, 0) == [Unfit]


def test_outage_of_all_is_never_one_images_fault(
    s3: S3, images: UploadedImages, clock: Clock
) -> None:
    images.read("images/a", 9)
    s3.all = TryLater("InternalError")
    assert set(tries(images, clock, 2000)) == {TryLater}
    s3.all, s3.refused["images/b"] = None, TryLater("not yet")
    assert set(tries(images, clock, 880)) == {TryLater}


def test_archived_and_missing_images_are_told_at_once(s3: S3, images: UploadedImages) -> None:
    s3.refused["images/b"] = Unfit("InvalidObjectState")
    with pytest.raises(Unfit):
        images.read("images/b", 9)
    with pytest.raises(NotFound):
        images.read("images/none-of-them", 9)
