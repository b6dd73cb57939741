"""The networks a checkpoint can name: their shapes, and what `build` refuses."""

import pytest

torch = pytest.importorskip("torch")

from visionfleet.model.architectures import ConvBlock, Residual, build, options_of  # noqa: E402

pytestmark = pytest.mark.needs_torch


SMALL = {"resnet9": {"width": 4}, "convnet8": {"first": 4, "second": 6, "third": 8}}


@pytest.mark.parametrize("architecture", SMALL)
@pytest.mark.parametrize(
    ("batch", "side", "classes"),
    [
        pytest.param(1, 32, 10, id="one image, as served"),
        pytest.param(5, 32, 3, id="a batch, other classes"),
        pytest.param(2, 9, 10, id="the smallest image"),
        pytest.param(2, 50, 10, id="a side no power of two divides"),
    ],
)
def test_network_gives_one_logit_per_class(
    architecture: str, batch: int, side: int, classes: int
) -> None:
    network = build(architecture, SMALL[architecture], classes).eval()
    with torch.inference_mode():
        logits = network(torch.rand(batch, 3, side, side))
    assert logits.shape == (batch, classes)


@pytest.mark.parametrize("architecture", SMALL)
def test_network_answers_alike_alone_and_in_a_batch(architecture: str) -> None:
    torch.manual_seed(0)
    network = build(architecture, SMALL[architecture], 10).eval()
    images = torch.rand(6, 3, 32, 32)
    with torch.inference_mode():
        together, alone = network(images), network(images[2:3])
    torch.testing.assert_close(together[2:3], alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("pool", "side"), [(False, 16), (True, 8)])
def test_pooling_block_halves_the_sides(pool: bool, side: int) -> None:
    block = ConvBlock(3, 5, pool=pool)
    assert block(torch.rand(2, 3, 16, 16)).shape == (2, 5, side, side)


def test_residual_block_keeps_the_shape() -> None:
    assert Residual(6)(torch.rand(2, 6, 8, 8)).shape == (2, 6, 8, 8)


def test_network_width_is_an_option() -> None:
    default, named = build("resnet9", {}, 10), build("resnet9", {"width": 32}, 10)
    shapes = [
        {name: value.shape for name, value in network.state_dict().items()}
        for network in (default, named)
    ]
    assert shapes[0] == shapes[1]
    assert build("resnet9", {"width": 8}, 10).head.in_features == 64


@pytest.mark.parametrize("architecture", SMALL)
def test_network_options_are_read_from_the_weights(architecture: str) -> None:
    network = build(architecture, SMALL[architecture], 3)
    assert options_of(architecture, network.state_dict()) == SMALL[architecture]


@pytest.mark.parametrize(
    ("architecture", "options", "classes", "sentence"),
    [
        ("vgg99", {}, 10, "unknown architecture 'vgg99'; known: resnet9, convnet8"),
        ("resnet9", {"depth": 3, "colour": 1}, 10, "unknown options of resnet9: colour, depth"),
        ("resnet9", {"width": 0}, 10, "width of resnet9 is 0; allowed: 1 to 512"),
        ("resnet9", {"width": 100_000}, 10, "width of resnet9 is 100000; allowed: 1 to 512"),
        ("convnet8", {"second": 0}, 10, "second of convnet8 is 0; allowed: 1 to 512"),
        ("resnet9", {}, 0, "at least one class, not 0"),
    ],
)
def test_unknown_architecture_is_refused(
    architecture: str, options: dict[str, int], classes: int, sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        build(architecture, options, classes)
