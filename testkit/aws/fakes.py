"""What the fakes of AWS share: a clock, errors as boto raises them, and a hook at every call."""

from collections.abc import Callable
from dataclasses import dataclass

from botocore.exceptions import ClientError


class Crash(BaseException):
    """The end of a process at some point of its work; nothing catches it."""


@dataclass(slots=True)
class Clock:
    """Wall time that passes only when a test says so."""

    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


Hook = Callable[[str], None]


def no_hook(_: str) -> None:
    """Do nothing at a call."""


def refusal(code: str, operation: str, status: int = 400, text: str = "injected") -> ClientError:
    """Make the error that boto raises for an answer of this code."""
    return ClientError(
        {
            "Error": {"Code": code, "Message": text},
            "ResponseMetadata": {
                "HTTPStatusCode": status,
                "HTTPHeaders": {},
                "HostId": "",
                "RequestId": "",
                "RetryAttempts": 0,
            },
        },
        operation,
    )
