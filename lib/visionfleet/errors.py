"""The errors of visionfleet, one small tree. A class's docstring says when it is raised."""


class VisionfleetError(Exception):
    """The base of all errors that visionfleet raises on purpose."""


class TryLater(VisionfleetError):
    """A temporary failure of an outside service: throttling, a timeout, a 5xx response."""


class GiveUp(VisionfleetError):
    """A permanent failure that an operator must fix: permissions, a missing bucket.

    At start it ends the daemon; later it is retried, and raises an alarm.
    """


class NotFound(GiveUp):
    """The object or queue does not exist."""


class Denied(GiveUp):
    """Not authenticated or not permitted: permanently, or until an IAM change has propagated."""


class Unfit(GiveUp):
    """One object or message is refused for a reason of its own: archived, too long."""


class AlreadyExists(GiveUp):
    """A conditional write lost, or a client token was used already."""


class NoCapacity(GiveUp):
    """EC2 lacks capacity for now; another type or subnet may have it."""


class Superseded(TryLater):
    """Another scaler has launched meanwhile, so our observation is outdated."""


class LeaseLost(GiveUp):
    """The visibility timeout of a message expired: another worker may have it."""


class BadMessage(VisionfleetError):
    """A message body that cannot be decoded. `raw` is the body as received."""

    def __init__(self, reason: str, raw: str) -> None:
        super().__init__(reason)
        self.raw = raw


class BadImage(VisionfleetError):
    """Bytes that cannot be classified. `code` is the stable name of the reason."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class BadModel(VisionfleetError):
    """A model that cannot be used: unknown name, missing file, wrong SHA-256, wrong labels."""


class BadKeys(VisionfleetError):
    """A key file that cannot be read or written, or an invalid key name."""


class BadPrices(VisionfleetError):
    """A price table that cannot be read, or lacks a needed entry."""


class BadConfig(VisionfleetError):
    """An invalid configuration. `faults` has every fault, one sentence each."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def reason_of(error: Exception) -> str:
    """Why a file cannot be used, in words for people: the path is named by the caller."""
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    return (isinstance(error, OSError) and error.strerror) or str(error)
