"""Where torch runs a model: chosen once, at the start."""

import torch


def choose() -> torch.device:
    """Take the GPU when torch sees one; CUDA_VISIBLE_DEVICES= in the environment hides it."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def gpu_multiplies_bfloat16() -> bool:
    return bool(torch.cuda.is_bf16_supported(including_emulation=False))
