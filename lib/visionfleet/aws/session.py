"""Creates botocore sessions directly, faster than by boto3."""

from pathlib import Path

from botocore.exceptions import NoCredentialsError
from botocore.loaders import Loader
from botocore.session import Session

from visionfleet.aws.credentials import CredentialProvider
from visionfleet.aws.slow_responses import limit_urllib3


class _NoneFound(NoCredentialsError):
    fmt = (
        "none in the environment, in ~/.aws or from an instance role (docs/systemd.md#credentials)"
    )


class _TrustingLoader(Loader):
    """Takes every folder for a service: botocore's loader looks into each of the 400.

    Each look reads the disk of a new volume. A folder without a model fails later.
    """

    def list_available_services(self, type_name: str) -> list[str]:  # noqa: ARG002
        places = (Path(place) for place in self.search_paths)
        return sorted({at.name for place in places if place.is_dir() for at in place.iterdir()})


def new_session(placeholder_credentials: bool) -> Session:
    """Create a session with credentials; raises NoCredentialsError."""
    limit_urllib3()
    session = Session()
    usual: Loader = session.get_component("data_loader")
    trusting = _TrustingLoader(extra_search_paths=usual.search_paths)
    session.register_component("data_loader", trusting)
    resolver = session.get_component("credential_provider")
    session.register_component("credential_provider", CredentialProvider(resolver))
    if placeholder_credentials:
        # Without credentials botocore does not sign, and searches for an instance role for seconds.
        session.set_credentials("placeholder", "placeholder")
    if session.get_credentials() is None:
        raise _NoneFound
    return session
