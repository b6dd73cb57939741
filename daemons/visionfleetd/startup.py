"""What every daemon's `main` does first: arguments, configuration, logs, and a patient check."""

import argparse
import logging
import os
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

from visionfleet import __version__, logs, runtime
from visionfleet.config import Config, load
from visionfleet.config.changes import Reach, changed, merged
from visionfleet.errors import BadConfig, GiveUp, NotFound, TryLater
from visionfleet.retry import growing_waits
from visionfleet.runtime import EXIT_CONFIG


def parser(daemon: str, about: str) -> argparse.ArgumentParser:
    """Make the parser with the options that all daemons have."""
    arguments = argparse.ArgumentParser(prog=f"visionfleet-{daemon}", description=about)
    arguments.add_argument("--config", type=Path, help="configuration file")
    arguments.add_argument("--check-config", action="store_true", help="check it and exit")
    arguments.add_argument("--version", action="version", version=__version__)
    return arguments


def configuration(arguments: argparse.Namespace) -> Config:
    """Load the configuration and set up the logs; ends the process when it is faulty."""
    try:
        loaded = load(arguments.config, os.environ)
    except BadConfig as error:
        print(error, file=sys.stderr)
        sys.exit(EXIT_CONFIG)
    if arguments.check_config:
        print("ok:", *loaded.files)
        sys.exit(0)
    logs.set_up(loaded.config.log.level)
    return loaded.config


def reloaded(path: Path | None, current: Config, reach: Reach, log: logging.Logger) -> Config:
    """Read the configuration again and return what is in effect from now on.

    A faulty one changes nothing. What needs a restart keeps its value, and is named.
    """
    runtime.notify_reloading()
    try:
        return _read_again(path, current, reach, log)
    finally:
        runtime.notify("READY=1")


def _read_again(path: Path | None, current: Config, reach: Reach, log: logging.Logger) -> Config:
    try:
        fresh = load(path, os.environ).config
    except BadConfig as error:
        log.error("configuration faulty, nothing changed", extra={"faults": len(error.faults)})
        for fault in error.faults:
            log.error("fault", extra={"fault": fault})
        return current
    now, later = reach.split(changed(current, fresh))
    logs.set_up(fresh.log.level)
    log.info("reloaded", extra={"changed": ",".join(now) or "nothing"})
    if later:
        log.warning("needs a restart", extra={"settings": ",".join(later)})
    return merged(current, fresh, now)


def verify(
    checks: Sequence[Callable[[], object]],
    stop: threading.Event,
    log: logging.Logger,
    random: Random,
) -> bool:
    """Call each check until AWS answers; False when `stop` was set first.

    What is missing ends the process with the command that makes it; what is refused, likewise.
    """
    for check in checks:
        for wait in growing_waits(random, cap=10.0):
            try:
                check()
                break
            except TryLater as error:
                log.warning("waiting for AWS", extra={"reason": str(error)})
                if stop.wait(wait):
                    return False
            except NotFound as error:
                log.error("missing; `visionfleet provision` makes it", extra={"reason": str(error)})
                sys.exit(1)
            except GiveUp as error:
                log.error("cannot start", extra={"reason": str(error)})
                sys.exit(1)
    return True
