"""A stateful S3 with conditional writes, in memory; ETags depend on the content alone."""

import hashlib
import io
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ReadTimeoutError

from testkit.aws.fakes import Hook, no_hook, refusal


@dataclass
class Bucket:
    """What the clients of one S3 share; so many writes take effect without an answer."""

    objects: dict[str, bytes] = field(default_factory=dict)
    lost_answers: int = 0


class FakeS3:
    """A client; `hook` is called before each call and after it took effect."""

    def __init__(self, bucket: Bucket, hook: Hook = no_hook) -> None:
        self._bucket, self._objects, self._hook = bucket, bucket.objects, hook

    def get_object(self, **request: Any) -> dict[str, Any]:
        key = request["Key"]
        self._hook(f"get {key}")
        if key not in self._objects:
            raise refusal("NoSuchKey", "GetObject", 404)
        body = self._objects[key]
        self._hook(f"get {key} done")
        return {"Body": io.BytesIO(body), "ETag": etag(body)}

    def put_object(self, **request: Any) -> dict[str, Any]:
        key, body = request["Key"], request["Body"]
        self._hook(f"put {key}")
        old = self._objects.get(key)
        if request.get("IfNoneMatch") == "*" and old is not None:
            raise refusal("PreconditionFailed", "PutObject", 412)
        if "IfMatch" in request and old is None:
            raise refusal("NoSuchKey", "PutObject", 404)
        if "IfMatch" in request and request["IfMatch"] != etag(old or b""):
            raise refusal("PreconditionFailed", "PutObject", 412)
        self._objects[key] = body
        self._hook(f"put {key} done")
        if self._bucket.lost_answers > 0:
            self._bucket.lost_answers -= 1
            raise ReadTimeoutError(endpoint_url="https://s3.example")
        return {"ETag": etag(body)}

    def delete_object(self, **request: Any) -> None:
        self._objects.pop(request["Key"], None)


def etag(body: bytes) -> str:
    """Compute the ETag of an object that was put whole."""
    return f'"{hashlib.md5(body).hexdigest()}"'
