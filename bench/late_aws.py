"""The embedded AWS, answering as late as the real one, which takes time but none of our CPU.

Run as `python -m bench.late_aws --port PORT`; LATE_MS says how many milliseconds later.
"""

import os
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

from testkit.aws import embedded_server
from visionfleet.local import embedded_aws
from visionfleet.local.moto_patches import WsgiApplication, one_at_a_time


def late(application: WsgiApplication, seconds: float) -> WsgiApplication:
    """Wait before each request, side by side with others."""
    never = threading.Event()

    def waited(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        never.wait(seconds)
        return application(environ, start_response)

    return waited


def main() -> int:
    """Serve until a signal."""
    seconds = float(os.environ["LATE_MS"]) / 1000

    def outside_the_lock(application: WsgiApplication, lock: threading.RLock) -> WsgiApplication:
        return late(one_at_a_time(application, lock), seconds)

    vars(embedded_aws)["one_at_a_time"] = outside_the_lock
    return embedded_server.main()


if __name__ == "__main__":
    sys.exit(main())
