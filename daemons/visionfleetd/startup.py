"""The start of every daemon: arguments, configuration, logs, and checks with retries."""

import argparse
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import ExitStack, closing, contextmanager
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
from visionfleet.host.process import EXIT_CONFIG, EXIT_OK, open_standard_files
from visionfleet.host.watchdog import extend_timeout
from visionfleet.logs import journal, setup

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

_T = TypeVar("_T")

# A check is a few calls, each retried many times in an outage.
CHECK_SECONDS = 300.0
# IAM changes propagate within this time; after it an operator must look.
DENIED_SECONDS = 120.0
LOOK_SECONDS = 0.2  # the longest time that a stop may stay unseen


class Stopped(SystemExit):
    """The stop came before the start was over: the process ends well."""


def parser(daemon: str, about: str) -> argparse.ArgumentParser:
    arguments = argparse.ArgumentParser(prog=f"visionfleet-{daemon}", description=about)
    arguments.set_defaults(daemon=daemon)
    arguments.add_argument("--config", type=Path, help="configuration file")
    arguments.add_argument("--check-config", action="store_true", help="check it and exit")
    arguments.add_argument("--version", action="version", version=__version__)
    return arguments


def configuration(arguments: argparse.Namespace) -> Config:
    """Load the configuration and set up logging; exits on faults."""
    open_standard_files()
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
    """Notify systemd of a reload, which lasts until the block ends."""
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
    """The configuration to use from now on; settings that need a restart are logged and keep their
    values.

    A faulty configuration changes nothing, also if `renew` raises BadConfig.
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
    """Serve metrics within the block, unless the port is 0 or in use: the daemon works without."""
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
) -> None:
    """Run each check until AWS answers, as `answered` does.

    Checks should be single calls: when a check fails, all its calls are repeated.
    """
    for check in checks:
        answered(check, stop, log, random)


def unless_stopped(call: Callable[[], _T], stop: threading.Event) -> _T:
    """The result of a call that may hang for minutes, on a thread of its own; raises Stopped as
    soon as `stop` is set.
    """
    done: Future[_T] = Future()

    def run() -> None:
        try:
            done.set_result(call())
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=run, name="start", daemon=True).start()
    while not wait([done], LOOK_SECONDS).done:
        if stop.is_set():
            raise Stopped(EXIT_OK)
    return done.result()


def answered(
    check: Callable[[], _T],
    stop: threading.Event,
    log: logging.Logger,
    random: Random,
    check_seconds: float = CHECK_SECONDS,
    clock: Callable[[], float] = time.monotonic,
    in_place: bool = False,
) -> _T:
    """Retry a call until AWS answers, and return its answer; raises Stopped if `stop` is set first.

    Extends systemd's start timeout by `check_seconds`. NotFound and Denied exit the process: at
    once, or after a while if a role or its credentials may still be propagating. With `in_place` a
    stop waits for the call.
    """
    systemd.notify(extend_timeout(check_seconds))
    denied_until: float | None = None
    for pause in growing_waits(random, cap=10.0):
        try:
            return check() if in_place else unless_stopped(check, stop)
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
        systemd.notify(status, extend_timeout(pause + check_seconds))
        if stop.wait(pause):
            break
    raise Stopped(EXIT_OK)


def _end(sentence: str, error: GiveUp, log: logging.Logger) -> NoReturn:
    log.error(sentence, extra={"reason": str(error)})
    sys.exit(1)
