"""The embedded AWS with nothing in it: `python -m testkit.aws.embedded_server --port PORT`."""

import argparse
import logging
import sys
import threading

from moto.cloudformation.models import CloudFormationBackend

from visionfleet.host.process import stop_on_signals
from visionfleet.local.embedded_aws import serve


def give_outputs_after_change_sets() -> None:
    """Have what `aws cloudformation deploy` makes tell its outputs, which moto forgets."""
    execute = CloudFormationBackend.execute_change_set

    def executed(
        backend: CloudFormationBackend, change_set_name: str, stack_name: str | None = None
    ) -> None:
        execute(backend, change_set_name, stack_name)
        for stack in backend.stacks.values():
            stack._parse_template()
            stack.output_map = stack._create_output_map()

    CloudFormationBackend.execute_change_set = executed  # type: ignore[method-assign, assignment]


def main() -> int:
    """Serve on the loopback until a signal."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(levelname)s %(message)s")
    give_outputs_after_change_sets()
    stop = threading.Event()
    stop_on_signals(lambda _name: stop.set())
    serve("127.0.0.1", port, stop)
    return 0


if __name__ == "__main__":
    sys.exit(main())
