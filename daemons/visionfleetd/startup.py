"""What every daemon's `main` does first: arguments, configuration, logs, and a patient check."""

import argparse
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from enum import Enum, auto
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, NoReturn, TypeVar

from visionfleet import __version__
from visionfleet.backoff import growing_waits
from visionfleet.config import Config, load
from visionfleet.config.reload import Reach, changed, merged
from visionfleet.errors import BadConfig, BadKeys, Denied, GiveUp, NotFound, TryLater
from visionfleet.host import systemd
from visionfleet.host.metrics_server import serve
from visionfleet.host.process import EXIT_CONFIG
from visionfleet.host.watchdog import extend_timeout
from visionfleet.logs import journal, setup

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

_T = TypeVar("_T")

# A check is a few calls, each of which is tried again and again in an outage.
CHECK_SECONDS = 300.0
# A role that was just made, or changed, is known everywhere by then; else a person has to look.
DENIED_SECONDS = 120.0


class Stopped(Enum):
    """In place of an answer: the stop came first."""

    STOPPED = auto()


STOPPED = Stopped.STOPPED


def parser(daemon: str, about: str) -> argparse.ArgumentParser:
    arguments = argparse.ArgumentParser(prog=f"visionfleet-{daemon}", description=about)
    arguments.set_defaults(daemon=daemon)
    arguments.add_argument("--config", type=Path, help="configuration file")
    arguments.add_argument("--check-config", action="store_true", help="check it and exit")
    arguments.add_argument("--version", action="version", version=__version__)
    return arguments


def configuration(arguments: argparse.Namespace) -> Config:
    """Load the configuration and set up the logs; ends the process when it is faulty."""
    try:
        loaded = load(arguments.config, os.environ)
    except BadConfig as error:
        end_faulty(error, arguments.daemon)
    if arguments.check_config:
        print("ok:", *loaded.files)
        sys.exit(0)
    setup.set_up(loaded.config.log.level, arguments.daemon)
    log = logging.getLogger(arguments.daemon)
    sys.excepthook = lambda _kind, error, _traceback: log.critical("crashed", exc_info=error)
    return loaded.config


def end_faulty(error: BadConfig | BadKeys, daemon: str) -> NoReturn:
    if journal.stderr_is_journal(os.environ):
        setup.set_up("INFO", daemon)
        faults = error.faults if isinstance(error, BadConfig) else (str(error),)
        log_faults("configuration faulty", faults, logging.getLogger(daemon))
    else:
        print(error, file=sys.stderr)
    sys.exit(EXIT_CONFIG)


@contextmanager
def reloading() -> Iterator[None]:
    """Tell systemd of a reload, which is over when the block is."""
    systemd.reloading()
    try:
        yield
    finally:
        systemd.notify("READY=1")


def reloaded(
    path: Path | None,
    current: Config,
    reach: Reach,
    log: logging.Logger,
    renew: Callable[[], object] = lambda: None,
) -> Config:
    """Return what is in effect from now on; what needs a restart keeps its value, and is named.

    A faulty configuration changes nothing, nor does one beside which `renew` raises BadConfig.
    """
    try:
        fresh = load(path, os.environ).config
        renew()
    except BadConfig as error:
        log_faults("configuration faulty, nothing changed", error.faults, log)
        return current
    now, later = reach.split(changed(current, fresh))
    setup.set_level(fresh.log.level)
    log.info("reloaded", extra={"changed": ",".join(now) or "nothing"})
    if later:
        log.warning("needs a restart", extra={"settings": ",".join(later)})
    return merged(current, fresh, now)


@contextmanager
def metrics_served(
    registry: "CollectorRegistry", address: str, port: int, log: logging.Logger
) -> Iterator[None]:
    """Serve metrics in the block, unless the port is 0 or taken: to work without is better."""
    with ExitStack() as stack:
        try:
            if port:
                stack.enter_context(closing(serve(registry, address, port)))
        except OSError as error:
            log.error("no metrics", extra={"port": port, "reason": str(error)})
        yield


def log_faults(sentence: str, faults: Sequence[str], log: logging.Logger) -> None:
    log.error(sentence, extra={"faults": len(faults)})
    for fault in faults:
        log.error("fault", extra={"fault": fault})


def verify(
    checks: Sequence[Callable[[], object]],
    stop: threading.Event,
    log: logging.Logger,
    random: Random,
) -> bool:
    """Call each check until AWS answers, as `answered` does; False when `stop` was set first.

    A check is one call where that can be: of a check that fails, all its calls are made again.
    """
    return all(answered(check, stop, log, random) is not STOPPED for check in checks)


def answered(
    check: Callable[[], _T],
    stop: threading.Event,
    log: logging.Logger,
    random: Random,
    check_seconds: float = CHECK_SECONDS,
    clock: Callable[[], float] = time.monotonic,
) -> "_T | Stopped":
    """Call a check until AWS answers, and give its answer, or STOPPED when `stop` was set first.

    systemd is told that it may take `check_seconds`. What is missing or refused ends the process:
    at once, or after a while where a role or its credentials may not have got about yet.
    """
    systemd.notify(extend_timeout(check_seconds))
    denied_until: float | None = None
    for wait in growing_waits(random, cap=10.0):
        try:
            return check()
        except TryLater as error:
            reason = str(error)
        except Denied as error:
            reason = str(error)
            denied_until = denied_until or clock() + DENIED_SECONDS
            if clock() >= denied_until:
                _end("cannot start", error, log)
        except NotFound as error:
            _end("missing; `visionfleet provision` makes it", error, log)
        except GiveUp as error:
            _end("cannot start", error, log)
        log.warning("waiting for AWS", extra={"reason": reason})
        status = f"STATUS=waiting for AWS: {' '.join(reason.split())}"
        systemd.notify(status, extend_timeout(wait + check_seconds))
        if stop.wait(wait):
            break
    return STOPPED


def _end(sentence: str, error: GiveUp, log: logging.Logger) -> NoReturn:
    log.error(sentence, extra={"reason": str(error)})
    sys.exit(1)
