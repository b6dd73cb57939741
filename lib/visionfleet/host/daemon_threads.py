"""Threads that do not hold up the end of the process, and what becomes of what nobody expected."""

import logging
import os
import threading
from collections.abc import Callable

EXIT_SOFTWARE = 70  # EX_SOFTWARE of sysexits.h

Crashed = Callable[[BaseException], None]


def crash(log: logging.Logger) -> Crashed:
    """Make what ends the process at once; started again it loses nothing, all is in S3 and SQS."""

    def crashed(error: BaseException) -> None:
        log.critical("crashed", exc_info=error)
        os._exit(EXIT_SOFTWARE)

    return crashed


def run_in_thread(name: str, work: Callable[[], None], crashed: Crashed) -> threading.Thread:
    """Start a daemon thread; `crashed` is told of any exception that leaves `work`."""

    def guarded() -> None:
        try:
            work()
        except BaseException as error:
            crashed(error)

    thread = threading.Thread(target=guarded, name=name, daemon=True)
    thread.start()
    return thread


def run_bounded(name: str, work: Callable[[], None], seconds: float, crashed: Crashed) -> bool:
    """Do what may hang, as a last call to AWS may, and wait no longer; tells whether it ended."""
    thread = run_in_thread(name, work, crashed)
    thread.join(seconds)
    return not thread.is_alive()
