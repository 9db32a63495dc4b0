"""The terminal, or whatever stands in its place: it may be gone before a run is."""

import os
import sys


def say(text: str, end: str = "\n") -> None:
    """Print at once; where nobody reads it any more, or its disk is full, print nothing from then on."""
    try:
        print(text, end=end, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
