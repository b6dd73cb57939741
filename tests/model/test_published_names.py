"""The names of architectures, told without an import of torch."""

import subprocess
import sys

import pytest

from visionfleet.config.classifier import ModelSection
from visionfleet.errors import BadModel
from visionfleet.model.published_names import check_names, known

pytestmark = pytest.mark.needs_torch


def test_names_in_the_sources_are_those_that_torchvision_lists() -> None:
    from torchvision import models

    assert known() == set(models.list_models(module=models))
    assert {"resnet18", "vit_b_16"} <= known()


@pytest.mark.parametrize("name", ["resnet18", "default", "efficientnet_lite0", "convnext_tiny"])
def test_names_that_are_known_pass(name: str) -> None:
    check_names(ModelSection(name=name))
    check_names(
        ModelSection(name="mine", path="/x.pth", architecture=name.replace("default", "vgg11"))
    )


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        (ModelSection(name="resnet81"), "model.name: 'resnet81' is neither .* mean .*resnet18"),
        (
            ModelSection(name="zzz"),
            r"model.name: 'zzz' .* nor known to torchvision; those of timm are imported",
        ),
        (
            ModelSection(name="mine", path="/x", architecture="vit_b16"),
            "model.architecture: 'vit_b16' is neither .* mean vit_b_16",
        ),
    ],
)
def test_names_that_no_network_has_are_told(choice: ModelSection, told: str) -> None:
    with pytest.raises(BadModel, match=told):
        check_names(choice)


def test_own_file_may_have_any_name() -> None:
    check_names(ModelSection(name="mine", path="/x.pt"))


def test_wrong_name_is_told_without_torch() -> None:
    code = (
        "import sys\n"
        "from visionfleet.config import Config\n"
        "from visionfleet.errors import BadModel\n"
        "from visionfleet.model.making import make\n"
        "try: make(Config(model={'name': 'resnet81'}))\n"
        "except BadModel as error: print(error, 'torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "did you mean" in done.stdout
    assert done.stdout.rstrip().endswith("False")
