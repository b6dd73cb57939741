"""Daemon threads, bounded calls, and the handling of unexpected exceptions."""

import logging
import os
import threading
from collections.abc import Callable

EXIT_SOFTWARE = 70  # EX_SOFTWARE of sysexits.h

Crashed = Callable[[BaseException], None]


def crash(log: logging.Logger) -> Crashed:
    """A handler that ends the process at once; nothing is lost, all state is in S3 and SQS."""

    def crashed(error: BaseException) -> None:
        log.critical("crashed", exc_info=error)
        os._exit(EXIT_SOFTWARE)

    return crashed


def run_in_thread(name: str, work: Callable[[], None], crashed: Crashed) -> threading.Thread:
    """Start a daemon thread; `crashed` gets any exception that leaves `work`."""

    def guarded() -> None:
        try:
            work()
        except BaseException as error:
            crashed(error)

    thread = threading.Thread(target=guarded, name=name, daemon=True)
    thread.start()
    return thread


def run_bounded(name: str, work: Callable[[], None], seconds: float, crashed: Crashed) -> bool:
    """Run something that may hang, with a time limit; returns whether it ended."""
    thread = run_in_thread(name, work, crashed)
    thread.join(seconds)
    return not thread.is_alive()
