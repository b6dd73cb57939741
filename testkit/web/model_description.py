"""What a worker tells of its model."""

from collections.abc import Sequence


def model_description(labels: Sequence[str], told_at: float) -> dict[str, object]:
    return {
        "v": 1,
        "name": "efficientnet_lite0",
        "fingerprint": "0123456789abcdef",
        "labels": list(labels),
        "input": {"side": 224, "shorter_side": 256, "interpolation": "bicubic"},
        "temperature": 0.645,
        "unknown_below": 0.75,
        "embedding": 1280,
        "runtime": "torch",
        "precision": "bfloat16",
        "device": "cpu",
        "worker": "w0",
        "told_at": told_at,
    }
