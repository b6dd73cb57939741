"""Endpoints of AWS services: those of one service take precedence over global ones, and the
environment over files. No I/O here.

The names are AWS's own, as its command line tool reads them: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL.
"""

from collections.abc import Mapping
from typing import Any

_ALL = "AWS_ENDPOINT_URL"
_SETTING = "VISIONFLEET_AWS__ENDPOINT_URL"
_IGNORED = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"


def for_all(setting: str | None, environment: Mapping[str, str]) -> str | None:
    """The endpoint of all services; `setting` is aws.endpoint_url. None is AWS itself."""
    given = None if _ignored(environment) else environment.get(_ALL)
    return setting if _SETTING in environment else given or setting


def by_service(environment: Mapping[str, str]) -> Mapping[str, str]:
    if _ignored(environment):
        return {}
    found = {
        name.removeprefix(f"{_ALL}_").lower(): url
        for name, url in environment.items()
        if name.startswith(f"{_ALL}_")
    }
    return {service: url for service, url in found.items() if url}


def of_profile(service: str, profile: Mapping[str, Any], whole: Mapping[str, Any]) -> str | None:
    """A service's endpoint in AWS's configuration file, as parsed by botocore."""
    section = whole.get("services", {}).get(profile.get("services"), {}).get(service, {})
    found: str | None = section.get("endpoint_url") or profile.get("endpoint_url")
    return found


def _ignored(environment: Mapping[str, str]) -> bool:
    return environment.get(_IGNORED, "").lower() == "true"
