"""The errors of visionfleet, one small tree. A class's docstring says when it is raised."""


class VisionfleetError(Exception):
    """Anything visionfleet raises on purpose."""


class TryLater(VisionfleetError):
    """An outside service failed in a way that passes: throttling, a timeout, a 5xx answer."""


class GiveUp(VisionfleetError):
    """An outside service refused, and somebody has to mend it: permissions, a missing bucket.

    At the start it ends a daemon; at work it is waited out, and told as what needs a person.
    """


class NotFound(GiveUp):
    """The object or queue asked for does not exist."""


class Denied(GiveUp):
    """Who asks may not, or is unknown: for good, or until a role or a policy has got about."""


class Unfit(GiveUp):
    """One object or message is refused for what it is: archived, too long; others are not."""


class AlreadyExists(GiveUp):
    """A conditional write lost, or the token of a launch was used: somebody was there first."""


class NoCapacity(GiveUp):
    """EC2 has no such machine there just now; another type or another subnet may have one."""


class Superseded(TryLater):
    """Another scaler has launched since we looked, so what we know of the fleet is old."""


class LeaseLost(GiveUp):
    """A message is no longer ours: its visibility ran out and another worker may have it."""


class BadMessage(VisionfleetError):
    """A message body that cannot be decoded. `raw` keeps the body as it was received."""

    def __init__(self, reason: str, raw: str) -> None:
        super().__init__(reason)
        self.raw = raw


class BadImage(VisionfleetError):
    """Bytes that cannot be classified. `code` is the stable name of the reason, for machines."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class BadModel(VisionfleetError):
    """A model that cannot be used: unknown name, missing file, wrong SHA-256, wrong labels."""


class BadKeys(VisionfleetError):
    """A file of API keys that cannot be read or written, or a key's name that is none."""


class BadPrices(VisionfleetError):
    """A table of prices that cannot be read, or lacks what is asked of it."""


class BadConfig(VisionfleetError):
    """A faulty configuration. `faults` holds every fault found, one sentence each."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults
