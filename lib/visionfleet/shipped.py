"""Files shipped with the package: units, defaults, pages, the stack."""

from pathlib import Path

from visionfleet.errors import GiveUp

# In a wheel they are in the package, put there by setup.py; in a checkout above `lib`.
_PACKAGE = Path(__file__).parent
_IN_WHEEL = _PACKAGE / "shipped"


def checkout() -> Path | None:
    """The checkout that this code runs from, if any."""
    root = _PACKAGE.parents[1]
    return root if not _IN_WHEEL.exists() and (root / "etc/local.yaml").exists() else None


def shipped(name: str) -> Path:
    """A file or folder by its path in the sources, as etc/visionfleet.yaml."""
    root = _IN_WHEEL.resolve() if checkout() is None else _PACKAGE.parents[1].resolve()
    path = (root / name).resolve()
    if not path.exists() or not path.is_relative_to(root):
        raise GiveUp(f"{name}: no such file comes with visionfleet")
    return path
