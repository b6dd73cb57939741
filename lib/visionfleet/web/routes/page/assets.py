"""The files of the page, as the package ships them in `static`."""

from dataclasses import dataclass
from importlib.resources import files

PAGE = "page.html"
_TYPES = {
    ".html": "text/html; charset=UTF-8",
    ".css": "text/css; charset=UTF-8",
    ".js": "text/javascript; charset=UTF-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file as it is sent."""

    content_type: str
    content: bytes


def load() -> dict[str, Asset]:
    """Read all files, by name; the name of each but the page itself is its path too."""
    found = {}
    for file in files(__package__).joinpath("static").iterdir():
        suffix = "." + file.name.rpartition(".")[2]
        if suffix in _TYPES:
            found[file.name] = Asset(_TYPES[suffix], file.read_bytes())
    return found
