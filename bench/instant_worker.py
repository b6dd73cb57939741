"""A worker that answers at once: what is measured beside it is the web's own work.

Run as `python -m bench.instant_worker ENDPOINT THREADS`; TERM ends it.
"""

import signal
import sys
import threading

from tests.support.cloud import connect
from tests.support.stand_in import stand_in


def main() -> None:
    """Answer until told to stop."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with stand_in(connect(sys.argv[1]), threads=int(sys.argv[2])):
        print("ready", flush=True)
        stop.wait()


if __name__ == "__main__":
    main()
