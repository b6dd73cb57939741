"""Cross-origin resource sharing (CORS). No I/O here."""

from collections.abc import Iterable, Mapping

_HEADERS = "Accept, Authorization, Content-Type, Idempotency-Key, X-API-Key, X-Request-ID"
_EXPOSED = "Location, Retry-After, Visionfleet-Reason, Visionfleet-Score, X-Request-ID"
_MAX_AGE_SECONDS = 600


def allowed(origin: str | None, origins: Iterable[str]) -> str | None:
    """The Access-Control-Allow-Origin for a request of this origin; empty if not allowed."""
    known = set(origins)
    if origin is None or not known:
        return None
    if "*" in known:
        return "*"
    return origin if origin in known else None


def exposing(origin: str | None, origins: Iterable[str]) -> dict[str, str]:
    """CORS headers of every response: the allowed origin and the exposed headers."""
    if not origins:
        return {}
    headers = {"Vary": "Origin"}
    if found := allowed(origin, origins):
        headers |= {"Access-Control-Allow-Origin": found, "Access-Control-Expose-Headers": _EXPOSED}
    return headers


def preflight(
    origin: str | None, methods: Iterable[str], request: Mapping[str, str]
) -> dict[str, str]:
    if origin is None or "Access-Control-Request-Method" not in request:
        return {}
    return {
        "Access-Control-Allow-Methods": ", ".join(methods),
        "Access-Control-Allow-Headers": _HEADERS,
        "Access-Control-Max-Age": str(_MAX_AGE_SECONDS),
    }
