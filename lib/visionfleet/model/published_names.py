"""Names of torchvision's architectures, parsed from its sources, as its import takes seconds."""

import difflib
import importlib.util
import re
from collections.abc import Set
from pathlib import Path

from visionfleet.config.classifier import DEFAULT_MODEL, ModelSection
from visionfleet.errors import BadModel

_REGISTERED = re.compile(
    r'^@register_model\((?:"(?P<given>[^"]+)")?\)\n(?:@.*\n)*def (?P<own>\w+)\(', re.MULTILINE
)


def check_names(choice: ModelSection) -> None:
    """Raise BadModel for an unknown name, if that can be determined."""
    if choice.path is None:
        _check(choice.name, "model.name")
    elif choice.architecture is not None:
        _check(choice.architecture, "model.architecture")


def _check(name: str, setting: str) -> None:
    names = known()
    if names and name not in names | {DEFAULT_MODEL}:
        raise BadModel(
            f"{setting}: {name!r} is {unknown(name, names)}; those of timm are imported first: "
            "visionfleet model import SOURCE"
        )


def unknown(name: str, names: Set[str], whom: str = "torchvision") -> str:
    near = difflib.get_close_matches(name, names, n=3)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    return f"neither `{DEFAULT_MODEL}` nor known to {whom}{hint}"


def known() -> Set[str]:
    """The names; empty if torchvision is missing or has another structure."""
    found = importlib.util.find_spec("torchvision")
    if found is None or found.origin is None:
        return frozenset()
    sources = (Path(found.origin).parent / "models").glob("*.py")
    texts = (source.read_text(encoding="utf-8") for source in sources)
    return {one["given"] or one["own"] for text in texts for one in _REGISTERED.finditer(text)}
