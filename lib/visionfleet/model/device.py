"""Where the model runs: chosen once, at the start."""

from pathlib import Path

import torch

from visionfleet.errors import BadModel

# Processors with one of these multiply bfloat16 themselves; on others it is slower than float32.
_BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16", "svebf16"}


def choose(asked: str) -> torch.device:
    """Take the GPU when there is one, or what was asked for; raises BadModel without it."""
    there = asked != "cpu" and torch.cuda.is_available()
    if asked == "cuda" and not there:
        raise BadModel(
            "model.device: cuda, but torch finds no GPU; check the driver (nvidia-smi) and that "
            "torch was built for CUDA, or set model.device: cpu"
        )
    return torch.device("cuda" if there else "cpu")


def multiplies_bfloat16(device: torch.device) -> bool:
    """Tell whether bfloat16 may be the quicker one there."""
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
