"""The reply queues of all web daemons, by the prefix of their names."""

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from visionfleet.aws.errors import wrapped_errors
from visionfleet.errors import NotFound

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


class ReplyQueues:
    """Permissions: sqs:ListQueues, and on `{prefix}*` sqs:ListQueueTags and sqs:DeleteQueue."""

    def __init__(self, client: "SQSClient", prefix: str) -> None:
        self._client = client
        self._prefix = prefix

    def urls(self) -> list[str]:
        with wrapped_errors(f"list queues {self._prefix}*"):
            pages = self._client.get_paginator("list_queues").paginate(
                QueueNamePrefix=self._prefix, PaginationConfig={"PageSize": 1000}
            )
            found = [url for page in pages for url in page.get("QueueUrls", ())]
        return [url for url in found if queue_name(url).startswith(self._prefix)]

    def tags(self, url: str) -> Mapping[str, str]:
        try:
            with wrapped_errors(f"tags of {queue_name(url)}"):
                return self._client.list_queue_tags(QueueUrl=url).get("Tags", {})
        except NotFound:
            return {}

    def remove(self, url: str) -> None:
        with suppress(NotFound), wrapped_errors(f"delete queue {queue_name(url)}"):
            self._client.delete_queue(QueueUrl=url)


def queue_name(url: str) -> str:
    return url.rsplit("/", 1)[-1]
