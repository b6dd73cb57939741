"""The embedded AWS with nothing in it: `python -m testkit.aws.embedded_server --port PORT`."""

import argparse
import logging
import sys
import threading

from visionfleet.host.process import stop_on_signals
from visionfleet.local.embedded_aws import serve


def main() -> int:
    """Serve on the loopback until a signal."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(levelname)s %(message)s")
    stop = threading.Event()
    stop_on_signals(lambda _name: stop.set())
    serve("127.0.0.1", port, stop)
    return 0


if __name__ == "__main__":
    sys.exit(main())
