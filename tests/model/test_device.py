"""Which device a model runs on, and what a processor is said to be able to do."""

import pytest
import torch

from visionfleet.model import device
from visionfleet.model.processor import described

pytestmark = pytest.mark.needs_torch


@pytest.mark.parametrize(("there", "kind"), [(True, "cuda"), (False, "cpu")])
def test_gpu_that_torch_sees_is_used(
    monkeypatch: pytest.MonkeyPatch, there: bool, kind: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert device.choose() == torch.device(kind)


@pytest.mark.parametrize(
    ("text", "has"),
    [
        ("processor: 0\nflags\t\t: fpu avx512f avx512_bf16 amx_tile\n", True),
        ("flags : fpu avx512f amx_bf16\n", True),
        ("flags : fpu avx2 avx512f avx512_bf16x\n", False),
        ("Features\t: fp asimd i8mm bf16\n", True),
        ("Features : fp asimd\n", False),
        ("", False),
    ],
)
def test_bfloat16_support_is_read_from_cpu_flags(text: str, has: bool) -> None:
    assert described("x86_64", text, gpu=False).bfloat16 is has
