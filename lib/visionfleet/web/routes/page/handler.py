"""Serves the page and its files."""

from visionfleet.web.jobs.service import Service
from visionfleet.web.routes.base import READING, Handler
from visionfleet.web.routes.page.assets import Asset

# Nothing from elsewhere and nothing inline; `blob:` are the thumbnails of what was chosen.
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


class AssetHandler(Handler):
    """One file of the page.

    Browsers keep it and ask whether it is still the same, which the ETag answers: an upgrade is
    seen at once, and parts of two versions never meet.
    """

    # Anybody may read the page: it is the page that asks for the key.
    open_methods = READING
    asset: Asset

    def initialize(
        self, service: Service, route: str = "other", asset: Asset | None = None
    ) -> None:
        """Take what the routes give."""
        assert asset is not None, "the route names a file"
        super().initialize(service, route)
        self.asset = asset

    def get(self) -> None:
        """Answer with the file, or with 304."""
        self.set_header("Content-Type", self.asset.content_type)
        self.set_header("Cache-Control", "no-cache")
        self.set_header("Content-Security-Policy", POLICY)
        self.finish(self.asset.content)

    head = get
