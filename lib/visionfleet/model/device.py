"""Where the model runs: chosen once, at the start."""

from pathlib import Path

import torch

# Processors with one of these multiply bfloat16 themselves; on others it is slower than float32.
_BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16", "svebf16"}


def choose() -> torch.device:
    """Take the GPU when torch sees one; CUDA_VISIBLE_DEVICES= in the environment hides it."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def multiplies_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    try:
        return has_bfloat16(Path("/proc/cpuinfo").read_text())
    except OSError:
        return False


def has_bfloat16(cpuinfo: str) -> bool:
    """Read the flags of the first processor in /proc/cpuinfo: `flags` on x86, `Features` on ARM."""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in {"flags", "Features"}:
            return bool(_BFLOAT16_FLAGS & set(value.split()))
    return False
