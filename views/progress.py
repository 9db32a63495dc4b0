"""How far something is, for a terminal."""

import shutil
import sys
import time
from datetime import timedelta


class Progress:
    """Repaint a line on stderr with the share that is done and the time left; keep silent where no terminal is."""

    def __init__(self, total: float) -> None:
        self.total, self.done = total, 0.0
        self.began = time.monotonic()
        self.painted = 0.0

    def advance(self, label: str, amount: float = 1) -> None:
        """Count something as done, and repaint at most ten times a second."""
        self.done += amount
        if sys.stderr.isatty() and time.monotonic() - self.painted > 0.1:
            self.painted = time.monotonic()
            line = f"{label}: {100 * self.done / self.total:.0f} %, {self.left()} left"
            print("\r" + line[: shutil.get_terminal_size().columns - 1] + "\x1b[K", end="", file=sys.stderr)

    def left(self) -> timedelta:
        """Return how long the rest takes at the pace so far, in whole seconds; nothing before a first advance."""
        pace = (time.monotonic() - self.began) / self.done if self.done else 0
        return timedelta(seconds=round(pace * max(self.total - self.done, 0)))

    def clear(self) -> None:
        if sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr)
