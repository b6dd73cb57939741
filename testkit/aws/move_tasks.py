"""Message move tasks, which the embedded AWS lacks: a stand-in, and a proxy that uses it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import ClientError

from testkit.aws.counting_proxy import CountingProxy, ForwardingHandler, serving
from testkit.aws.embedded import Cloud


class FakeMoveTasks:
    """A stateful stand-in for SQS's move tasks: one per source; each look moves some messages."""

    def __init__(
        self, source: str, waiting: int, ends_as: str = "COMPLETED", hidden_looks: int = 0
    ) -> None:
        self.source = source
        self.waiting, self.ends_as, self.hidden = waiting, ends_as, hidden_looks
        self.tasks: list[dict[str, Any]] = []
        self.started: list[dict[str, Any]] = []

    def start_message_move_task(self, **parameters: Any) -> dict[str, str]:
        if self.tasks and self.tasks[0]["Status"] == "RUNNING":
            code = "AWS.SimpleQueueService.UnsupportedOperation"
            error: Any = {"Error": {"Code": code, "Message": "one only"}}
            raise ClientError(error, "StartMessageMoveTask")
        self.started.append(parameters)
        task = {"Status": "RUNNING", "StartedTimestamp": len(self.started)}
        task |= {"ApproximateNumberOfMessagesMoved": 0}
        self.tasks.insert(0, task | {"ApproximateNumberOfMessagesToMove": self.waiting})
        return {"TaskHandle": "handle"}

    def list_message_move_tasks(self, SourceArn: str, MaxResults: int) -> dict[str, Any]:  # noqa: N803
        assert SourceArn == self.source
        shown = self.tasks[:MaxResults]
        if self.tasks and self.hidden:
            self.hidden -= 1
            shown = self.tasks[1 : 1 + MaxResults]
        answer = {"Results": [dict(task) for task in shown]}
        self._work()
        return answer

    def _work(self) -> None:
        task: dict[str, Any] = self.tasks[0] if self.tasks else {"Status": "COMPLETED"}
        if task["Status"] == "RUNNING":
            task["ApproximateNumberOfMessagesMoved"] += min(10, self.waiting)
            self.waiting -= min(10, self.waiting)
            if not self.waiting:
                task["Status"] = self.ends_as
                task["FailureReason"] = "" if self.ends_as == "COMPLETED" else "AccessDenied"


class WorkingMoveTasks(FakeMoveTasks):
    """Moves real messages too, ten at each look."""

    def __init__(self, aws: Cloud, source: str, destination: str) -> None:
        self._sqs = aws.sqs
        self._from, self._to = aws.queue_url(source), aws.queue_url(destination)
        names = {"QueueUrl": self._from, "AttributeNames": ["QueueArn"]}
        arn = aws.sqs.get_queue_attributes(**names)["Attributes"]["QueueArn"]
        super().__init__(arn, aws.counts(source)[0])

    def _work(self) -> None:
        super()._work()
        asked = {"QueueUrl": self._from, "MaxNumberOfMessages": 10}
        for message in self._sqs.receive_message(**asked).get("Messages", ()):
            self._sqs.send_message(QueueUrl=self._to, MessageBody=message["Body"])
            gone = {"QueueUrl": self._from, "ReceiptHandle": message["ReceiptHandle"]}
            self._sqs.delete_message(**gone)


class MoveTaskProxy(CountingProxy):
    """Forwards all but the two calls about move tasks, which the stand-in answers."""

    def __init__(self, upstream: str, sqs: FakeMoveTasks) -> None:
        super().__init__(upstream, MoveTaskHandler)
        self.sqs = sqs


class MoveTaskHandler(ForwardingHandler):
    """One connection."""

    server: MoveTaskProxy

    def forward(self) -> None:
        name = {
            "SQS StartMessageMoveTask": "start_message_move_task",
            "SQS ListMessageMoveTasks": "list_message_move_tasks",
        }.get(self.operation)
        if name is None:
            super().forward()
            return
        parameters = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        content = json.dumps(getattr(self.server.sqs, name)(**parameters)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET = do_PUT = do_HEAD = do_DELETE = forward  # noqa: N815


@contextmanager
def move_task_proxy(upstream: str, sqs: FakeMoveTasks) -> Iterator[MoveTaskProxy]:
    """Run such a proxy for the length of a with block."""
    with MoveTaskProxy(upstream, sqs) as server, serving(server):
        yield server
