"""The direct SQS calls, some per image."""

import json
import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from botocore.parsers import ResponseParserError

from visionfleet.aws.direct_calls import DirectCalls
from visionfleet.aws.whole_answers import json_object

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

log = logging.getLogger(__name__)

# By boto3's names; parameters and responses are the same in JSON as in boto3.
_OPERATIONS = {
    "change_message_visibility_batch": "ChangeMessageVisibilityBatch",
    "delete_message_batch": "DeleteMessageBatch",
    "receive_message": "ReceiveMessage",
    "send_message": "SendMessage",
    "send_message_batch": "SendMessageBatch",
}
_JSON = {"content-type": "application/x-amz-json-1.0", "x-amzn-query-mode": "true"}


class DirectSQS:
    """An SQS client like boto3's, which makes all other calls, and retries those that fail."""

    def __init__(self, client: "SQSClient", calls: DirectCalls, path: str) -> None:
        self._client, self._calls, self._path = client, calls, path

    def __getattr__(self, name: str) -> Any:
        boto3s = getattr(self._client, name)
        operation = _OPERATIONS.get(name)
        return boto3s if operation is None else partial(self._ask, operation, boto3s)

    def _ask(
        self, operation: str, boto3s: Callable[..., Mapping[str, Any]], **asked: Any
    ) -> Mapping[str, Any]:
        headers = {**_JSON, "x-amz-target": f"AmazonSQS.{operation}"}
        answer = self._calls.ask("POST", self._path, json.dumps(asked).encode(), headers)
        if answer is not None:
            try:
                return json_object(answer.body)
            except ResponseParserError as error:
                log.debug("not direct", extra={"operation": operation, "reason": str(error)})
        return boto3s(**asked)
