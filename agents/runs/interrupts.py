"""Signals that ask a process to stop."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

STDERR = 2
HEARD = b"\nstopping: what has begun, an evaluation maybe, is ended and saved first; once more stops at once, unsaved\n"


@contextmanager
def caught_signals() -> Iterator[list[int]]:
    """Collect Ctrl-C, SIGTERM and the loss of a terminal instead of dying of them; a second one is obeyed at once."""
    caught: list[int] = []

    def handle(number: int, _: Any) -> None:
        caught.append(number)
        for each in before:
            signal.signal(each, signal.SIG_DFL)
        with suppress(OSError):  # the terminal may be what was lost
            os.write(STDERR, HEARD)  # not by print, which the signal may have come amid

    before = {
        number: signal.signal(number, handle)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        if signal.getsignal(number) != signal.SIG_IGN  # as under nohup
    }
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
