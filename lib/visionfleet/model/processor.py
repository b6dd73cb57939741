"""Identifies kinds of processors, as the fastest choice differs between them."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# Flags of processors with bfloat16 multiplication; elsewhere it is slower than float32.
_BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16", "svebf16"}
# Flags that decide which kernels a runtime uses.
_KERNEL_FLAGS = _BFLOAT16_FLAGS | {
    *("avx", "avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_fp16", "amx_int8", "amx_fp16"),
    *("asimd", "asimddp", "i8mm", "sve", "sve2", "fphp"),
}
_NAMES = ("vendor_id", "cpu family", "model", "CPU implementer", "CPU part")
_CPUINFO, _DEVICES = Path("/proc/cpuinfo"), Path("/dev")


@dataclass(frozen=True, slots=True)
class Processor:
    """`name` is equal for machines with the same kernels; includes a usable GPU."""

    name: str
    bfloat16: bool
    gpu: bool = False


def here(environment: Mapping[str, str]) -> Processor:
    try:
        cpuinfo = _CPUINFO.read_text()
    except OSError:
        cpuinfo = ""
    hidden = environment.get("CUDA_VISIBLE_DEVICES", "all") in {"", "-1"}
    gpu = not hidden and any(_DEVICES.glob("nvidia[0-9]*"))
    return described(platform.machine(), cpuinfo, gpu)


def described(machine: str, cpuinfo: str, gpu: bool) -> Processor:
    """Parse the first processor in /proc/cpuinfo: `flags` on x86, `Features` on ARM."""
    first, _, _ = cpuinfo.partition("\n\n")
    lines = [line.partition(":") for line in first.splitlines()]
    values = {name.strip(): value.strip() for name, _, value in lines}
    flags = set(f"{values.get('flags', '')} {values.get('Features', '')}".split())
    parts = [machine, *(values[name] for name in _NAMES if name in values)]
    parts += sorted(flags & _KERNEL_FLAGS) + ["gpu"] * gpu
    return Processor(" ".join(parts), bool(flags & _BFLOAT16_FLAGS), gpu)
