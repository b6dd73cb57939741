"""The S3 edge: objects of one bucket, with wrapped errors."""

import json
import logging
import time
import zlib
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeVar

from visionfleet.aws.errors import wrapped_errors
from visionfleet.aws.s3_direct import DirectS3
from visionfleet.contract.documents import Document
from visionfleet.errors import AlreadyExists, BadMessage, Denied, NotFound, TryLater

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

log = logging.getLogger(__name__)

_JSON = "application/json"
# The header of each condition that boto3 has as a parameter.
_CONDITIONS = {"IfNoneMatch": "if-none-match", "IfMatch": "if-match"}
_T = TypeVar("_T")
MOST_DETOURS, DETOURS_UNTIL_TRIED = 20, 100


@dataclass(frozen=True, slots=True)
class Listed:
    """An object in a listing; `modified_at` is in Unix seconds of S3's clock."""

    key: str
    etag: str
    modified_at: float


@dataclass(frozen=True, slots=True)
class Stat:
    """Metadata of an object; its age is by S3's clock alone."""

    size: int
    etag: str
    age_seconds: float


@dataclass(frozen=True, slots=True)
class PresignedPost:
    url: str
    fields: Mapping[str, str]
    expires_at: float


class Store:
    """Permissions: s3:GetObject, s3:PutObject, s3:DeleteObject on the bucket's objects, and
    s3:ListBucket, without which S3 answers 403 instead of 404 for missing objects.
    """

    def __init__(self, client: "S3Client", bucket: str, direct: DirectS3 | None = None) -> None:
        self._client = client
        self._bucket = bucket
        self._direct = direct
        self._fallbacks = 0  # consecutive direct calls that failed
        self._unreadable: set[str] = set()  # keys already logged

    def verify(self) -> None:
        try:
            with wrapped_errors(f"bucket {self._bucket}"):
                found = self._client.head_bucket(Bucket=self._bucket).get("BucketRegion")
        except Denied as error:
            sentence = f"{error}: s3:ListBucket is not allowed, or it is another account's bucket"
            raise Denied(sentence) from error
        expected = self._client.meta.region_name
        if found and found != expected:  # boto3 follows S3's redirection
            extra = {"bucket": self._bucket, "region": found, "expected": expected}
            log.warning("bucket is in another region", extra=extra)

    def put(
        self,
        key: str,
        body: bytes,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] = {},
        condition: Mapping[str, str] = {},
    ) -> str:
        """Write an object and return its ETag; raises AlreadyExists if `condition` fails."""
        # A bucket with Object Lock refuses objects without a checksum.
        checksum = b64encode(zlib.crc32(body).to_bytes(4)).decode()
        headers = {"content-type": content_type, "x-amz-checksum-crc32": checksum}
        headers |= {_CONDITIONS[name]: value for name, value in condition.items()}
        headers |= {f"x-amz-meta-{name}": value for name, value in metadata.items()}
        if (direct := self._usable()) and (etag := direct.put(key, body, headers)):
            self._fallbacks = 0
            return etag
        with wrapped_errors(f"put {key}"):
            answer = self._client.put_object(
                Bucket=self._bucket,
                Key=key,
                Body=body,
                ContentType=content_type,
                Metadata=metadata,
                ChecksumCRC32=checksum,
                **condition,  # type: ignore[arg-type]
            )
            etag = answer["ETag"]
        self._count_fallback()
        return etag

    def put_json(self, key: str, text: str) -> None:
        self.put(key, text.encode(), _JSON)

    def put_json_if(self, key: str, text: str, etag: str | None) -> str | None:
        """Write JSON text if the object still has this ETag (None: if there is no object).

        Returns the new ETag; None on a conflict with another write.
        """
        condition = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}
        try:
            return self.put(key, text.encode(), _JSON, condition=condition)
        except (AlreadyExists, NotFound):
            return None

    def find_tagged(self, key: str) -> tuple[bytes, str] | None:
        try:
            return self._get(key)
        except NotFound:
            return None

    def get(self, key: str, most_bytes: int | None = None) -> bytes:
        """An object, of a larger one than `most_bytes` only about its first so many."""
        direct = self._usable()
        if direct and (found := direct.get(key, most_bytes)) is not None:
            self._fallbacks = 0
            return found
        found = self._get(key, most_bytes)[0]
        self._count_fallback()
        return found

    def _usable(self) -> DirectS3 | None:
        """The direct client; if only boto3's calls succeed, as in another region, now and then."""
        vain = self._fallbacks >= MOST_DETOURS and self._fallbacks % DETOURS_UNTIL_TRIED
        return None if vain else self._direct

    def _count_fallback(self) -> None:
        """Log once if direct calls keep failing while boto3's succeed."""
        if self._direct is None:
            return
        count = self._fallbacks + 1  # a race may lose a count, but not skip the limit
        self._fallbacks = count
        if count == MOST_DETOURS:
            extra = {"bucket": self._bucket, "calls": count}
            log.warning("direct calls fail, boto3's do not", extra=extra)

    def _get(self, key: str, most_bytes: int | None = None, **more: Any) -> tuple[bytes, str]:
        """Without an ETag it is not a response of S3."""
        with wrapped_errors(f"get {key}"):
            answer = self._client.get_object(Bucket=self._bucket, Key=key, **more)
            size = None  # all of it
            if most_bytes is not None and answer["ContentLength"] > most_bytes:
                size = most_bytes + 1
            return answer["Body"].read(size), answer["ETag"]

    def find(self, key: str) -> bytes | None:
        try:
            return self.get(key)
        except NotFound:
            return None

    def read(self, document: Document[_T]) -> _T | None:
        """The value of an object; None if it is missing or unreadable."""
        body = self.find(document.key)
        return None if body is None else self._decoded(document, body)

    def read_tagged(self, document: Document[_T]) -> tuple[_T | None, str | None]:
        """The value of an object and its ETag, which is None if there is no object."""
        found = self.find_tagged(document.key)
        return (None, None) if found is None else (self._decoded(document, found[0]), found[1])

    def _decoded(self, document: Document[_T], body: bytes) -> _T | None:
        try:
            value = document.decode(body)
        except BadMessage as error:
            level = logging.DEBUG if document.key in self._unreadable else logging.WARNING
            log.log(level, "unreadable", extra={"key": document.key, "reason": str(error)})
            self._unreadable.add(document.key)
            return None
        self._unreadable.discard(document.key)
        return value

    def exists(self, key: str) -> bool:
        return self.find_stat(key) is not None

    def find_stat(self, key: str) -> Stat | None:
        try:
            return self.stat(key)
        except NotFound:
            return None

    def stat(self, key: str) -> Stat:
        with wrapped_errors(f"head {key}"):
            found = self._client.head_object(Bucket=self._bucket, Key=key)
            date = found["ResponseMetadata"]["HTTPHeaders"].get("date", "")
            age_seconds = _age_seconds(found["LastModified"], date)
            return Stat(found["ContentLength"], found["ETag"], age_seconds)

    def get_start(self, key: str, size: int) -> bytes:
        """The first bytes of a non-empty object; raises NotFound."""
        return self._get(key, Range=f"bytes=0-{size - 1}")[0]

    def copy(
        self, source: tuple[str, str], key: str, content_type: str, metadata: Mapping[str, str]
    ) -> bool:
        """Copy within the bucket; `source` is (key, ETag). False if it has changed."""
        try:
            with wrapped_errors(f"copy {source[0]} to {key}"):
                self._client.copy_object(
                    Bucket=self._bucket,
                    Key=key,
                    CopySource={"Bucket": self._bucket, "Key": source[0]},
                    CopySourceIfMatch=source[1],
                    MetadataDirective="REPLACE",
                    ContentType=content_type,
                    Metadata=metadata,
                )
        except AlreadyExists:
            return False
        return True

    def presigned_post(
        self, key: str, content_type: str, max_bytes: int, expires_at: float
    ) -> PresignedPost:
        """Presign a POST form for one file, until `expires_at` by S3's clock and up to a size.
        Makes no call.
        """
        with wrapped_errors(f"sign {key}"):
            signed = self._client.generate_presigned_post(
                Bucket=self._bucket,
                Key=key,
                Fields={"Content-Type": content_type},
                Conditions=[
                    {"Content-Type": content_type},
                    ["content-length-range", 1, max_bytes],
                ],
                # botocore counts from this host's time.
                ExpiresIn=round(expires_at - time.time()),
            )
        return PresignedPost(signed["url"], signed["fields"], expires_at)

    def keys(self, prefix: str) -> Iterator[str]:
        return (entry.key for entry in self.listed(prefix))

    def listed(self, prefix: str) -> list[Listed]:
        with wrapped_errors(f"list {prefix}"):
            pages = self._client.get_paginator("list_objects_v2")
            found: list[Listed] = []
            for page in pages.paginate(Bucket=self._bucket, Prefix=prefix):
                if "IsTruncated" not in page:  # not a listing
                    raise TryLater(f"list {prefix}: no list in the answer")
                found += (
                    Listed(entry["Key"], entry["ETag"], entry["LastModified"].timestamp())
                    for entry in page.get("Contents", ())
                )
        return found

    def delete(self, key: str) -> None:
        with wrapped_errors(f"delete {key}"):
            self._client.delete_object(Bucket=self._bucket, Key=key)


def _age_seconds(modified: datetime, date: str) -> float:
    """The age by the response's Date; 0 if there is none."""
    try:
        # A proxy may have appended a second date: "Sat, 28 Nov 2026 18:59:35 GMT" is one.
        return (parsedate_to_datetime(date[:29]) - modified).total_seconds()
    except (TypeError, ValueError):
        return 0.0


def file_name_metadata(file_name: str) -> dict[str, str]:
    """Metadata with the file name; S3 allows ASCII only, so it is escaped as in JSON."""
    return {"file-name": json.dumps(file_name)[1:-1][:512]} if file_name else {}
