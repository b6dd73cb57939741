"""API keys: format, storage, verification. No I/O here.

A key is `vf_<id>_<secret>`. The secret has 256 random bits, so a fast hash is safe; a slow one
would let anybody burn CPU with wrong keys. The salt hides equal keys.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable
from itertools import islice
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from visionfleet.errors import BadKeys

ID_BYTES = 5
SECRET_BYTES = 32
SALT_BYTES = 16
_FORM = re.compile(r"vf_([0-9a-f]{10})_([0-9a-f]{64})")
_ANYWHERE = re.compile(_FORM.pattern.encode())
_NAME = r"^[\w.@+-]{1,64}$"


class ApiKey(BaseModel):
    """One line of the key file. `per_second` None means the general rate limit."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{10}$")]
    name: Annotated[str, Field(pattern=_NAME)]
    salt: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    created_at: int
    per_second: Annotated[float, Field(gt=0, le=1e6)] | None = None


def make(name: str, random: bytes, now: float, per_second: float | None) -> tuple[str, ApiKey]:
    """Make a key of `ID_BYTES + SECRET_BYTES + SALT_BYTES` random bytes; raises BadKeys."""
    id_, rest = random[:ID_BYTES].hex(), random[ID_BYTES:]
    secret, salt = rest[:SECRET_BYTES].hex(), rest[SECRET_BYTES:].hex()
    try:
        kept = ApiKey(
            id=id_,
            name=name,
            salt=salt,
            sha256=_digest(salt, secret),
            created_at=int(now),
            per_second=per_second,
        )
    except ValidationError as error:
        if error.errors()[0]["loc"] == ("name",):
            raise BadKeys("a name has 1 to 64 letters, digits and . _ @ + -") from error
        raise BadKeys(f"{error.errors()[0]['loc'][0]}: {error.errors()[0]['msg']}") from error
    return f"vf_{id_}_{secret}", kept


def read(text: str) -> dict[str, ApiKey]:
    """Parse a key file, by id; raises BadKeys with the number of the faulty line."""
    found: dict[str, ApiKey] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            kept = ApiKey.model_validate_json(line)
        except ValidationError as error:
            raise BadKeys(f"line {number}: {error.errors()[0]['msg']}") from error
        if kept.id in found:
            raise BadKeys(f"line {number}: the id {kept.id} is there twice")
        found[kept.id] = kept
    return found


def write(keys: Iterable[ApiKey]) -> str:
    return "".join(kept.model_dump_json(exclude_none=True) + "\n" for kept in keys)


def check(key: str, keys: dict[str, ApiKey]) -> ApiKey | None:
    form = _FORM.fullmatch(key)
    kept = keys.get(form[1]) if form else None
    if form is None or kept is None:
        return None
    return kept if hmac.compare_digest(_digest(kept.salt, form[2]), kept.sha256) else None


def within(head: bytes) -> list[str]:
    """Find possible keys anywhere in raw request headers; at most a few."""
    return [found[0].decode() for found in islice(_ANYWHERE.finditer(head), 3)]


def from_headers(authorization: str, x_api_key: str) -> str:
    scheme, _, value = authorization.strip().partition(" ")
    return value.strip() if scheme.lower() == "bearer" else x_api_key.strip()


def _digest(salt: str, secret: str) -> str:
    return hashlib.sha256(bytes.fromhex(salt) + secret.encode()).hexdigest()
