"""The device for torch, chosen once at start."""

import torch


def choose() -> torch.device:
    """The GPU if torch finds one; CUDA_VISIBLE_DEVICES= in the environment hides it."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def gpu_multiplies_bfloat16() -> bool:
    return bool(torch.cuda.is_bf16_supported(including_emulation=False))
