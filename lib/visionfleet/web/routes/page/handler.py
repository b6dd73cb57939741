"""The page at `/` and its files, served from the package's `static` folder."""

from dataclasses import dataclass
from importlib.resources import files

from visionfleet.web.routes.base import READING, Handler
from visionfleet.web.routes.operation import Operation

PAGE = "page.html"
_TYPES = {
    ".html": "text/html; charset=UTF-8",
    ".css": "text/css; charset=UTF-8",
    ".js": "text/javascript; charset=UTF-8",
    ".svg": "image/svg+xml",
}
# No external or inline content; `blob:` is for thumbnails of chosen files.
POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)


@dataclass(frozen=True, slots=True)
class Asset:
    content_type: str
    content: bytes


class AssetHandler(Handler):
    """Browsers revalidate by ETag, so files of two versions never mix."""

    # The page is public; it asks for the key itself.
    open_methods = READING

    @Operation("A page for people", {200: "text/html"})
    def get(self) -> None:
        asset: Asset = self.settings["assets"][self.route]
        self.set_header("Content-Type", asset.content_type)
        self.set_header("Cache-Control", "no-cache")
        self.set_header("Content-Security-Policy", POLICY)
        self.finish(asset.content)


def load_assets() -> dict[str, Asset]:
    found = {}
    for file in files(__package__).joinpath("static").iterdir():
        suffix = "." + file.name.rpartition(".")[2]
        if suffix in _TYPES:
            path = "/" if file.name == PAGE else f"/{file.name}"
            found[path] = Asset(_TYPES[suffix], file.read_bytes())
    return found
