"""Preprocessing in other notations: Hugging Face image processors, timm configurations. No I/O
here.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from visionfleet.imaging.model_input import Preprocessing
from visionfleet.model.importing.found import IMAGENET, usual

_BY_NUMBER = {1: "lanczos", 2: "bilinear", 3: "bicubic"}  # Pillow's constants
_SQUEEZED = "its photos are squeezed to a square; here the centre square is taken"


class Read(NamedTuple):
    preprocessing: Preprocessing
    notes: tuple[str, ...] = ()
    bgr: bool = False


def of_hugging_face(told: Mapping[str, Any] | None, side: int) -> Read:
    """Parse `preprocessor_config.json`; `side` is the network's own image size."""
    if told is None:
        return Read(usual(side), ("no preprocessor_config.json: ImageNet's usual was taken",))
    sizes = told.get("size") or told.get("crop_size") or side
    resize, squeezed = _shorter(sizes, side)
    crop = resize
    if told.get("crop_pct") and resize < 384:  # e.g. ConvNeXt
        resize = int(resize / told["crop_pct"])
    elif told.get("do_center_crop") and told.get("crop_size"):
        crop = _shorter(told["crop_size"], side)[0]
        resize = max(resize, crop)
    mean, std = _scaled(told)
    if bgr := bool(told.get("do_flip_channel_order")):
        mean, std = mean[::-1], std[::-1]
    notes = (_SQUEEZED,) if squeezed else ()
    name = _BY_NUMBER.get(told.get("resample", 2), "bilinear")
    return Read(Preprocessing(resize, crop, _three(mean), _three(std), name), notes, bgr)


def _shorter(size: Any, otherwise: int) -> tuple[int, bool]:
    if isinstance(size, int | float):
        return int(size), False
    if isinstance(size, list | tuple) and size:
        return int(min(size)), len(size) > 1
    if isinstance(size, Mapping):
        if "shortest_edge" in size:
            return int(size["shortest_edge"]), False
        if {"height", "width"} <= set(size):
            return int(min(size["height"], size["width"])), True
    return otherwise, False


def _scaled(told: Mapping[str, Any]) -> tuple[list[float], list[float]]:
    """Convert mean and deviation to values from 0 to 1, whatever the scale of the pixels."""
    mean, std = [0.0] * 3, [1.0] * 3
    if told.get("do_normalize", True):
        mean = list(told.get("image_mean") or IMAGENET.mean)
        std = list(told.get("image_std") or IMAGENET.std)
    factor = told.get("rescale_factor", 1 / 255) if told.get("do_rescale", True) else 1.0
    offset = 1.0 if told.get("rescale_offset") else 0.0
    whole = 255 * factor
    return [(value + offset) / whole for value in mean], [value / whole for value in std]


def of_timm(told: Mapping[str, Any]) -> Read:
    """Parse the result of `timm.data.resolve_data_config`."""
    crop = int(told["input_size"][-1])
    resize = max(crop, math.floor(crop / (told.get("crop_pct") or 0.875)))
    name = told.get("interpolation", "bicubic")
    notes = (_SQUEEZED,) if told.get("crop_mode") == "squash" else ()
    name = name if name in _BY_NUMBER.values() else "bicubic"
    return Read(Preprocessing(resize, crop, _three(told["mean"]), _three(told["std"]), name), notes)


def _three(values: Any) -> tuple[float, float, float]:
    one, two, three = (float(value) for value in values)
    return one, two, three
