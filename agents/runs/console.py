"""The terminal, or whatever stands in its place: it may be gone before a run is."""

import logging
import os
import sys


def say(text: str, end: str = "\n") -> None:
    """Print at once; where nobody reads it any more, or its disk is full, print nothing from then on."""
    try:
        print(text, end=end, flush=True)
    except OSError:
        fall_silent()


def fall_silent() -> None:
    """Print nothing from now on."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Handler(logging.Handler):
    """Say what is logged."""

    def emit(self, record: logging.LogRecord) -> None:
        say(self.format(record))
