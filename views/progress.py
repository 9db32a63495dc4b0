"""How far something is, for a terminal."""

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar, cast

E = TypeVar("E")


class Progress:
    """Repaint a line on stderr with the share that is done and the time left; keep silent where no terminal is.

    Where nobody knows how much there is to do, the line tells what is done, and how much of it a second.
    """

    def __init__(self, total: float | None) -> None:
        self.total, self.done = total, 0.0
        self.began = time.monotonic()
        self.painted = 0.0

    def advance(self, label: str, amount: float = 1) -> None:
        """Count something as done, and repaint at most ten times a second."""
        self.done += amount
        if sys.stderr.isatty() and time.monotonic() - self.painted > 0.1:
            self.painted = time.monotonic()
            line = f"{label}: {self.told()}"
            print("\r" + line[: shutil.get_terminal_size().columns - 1] + "\x1b[K", end="", file=sys.stderr)

    def told(self) -> str:
        """Say how far it is."""
        if self.total is None:
            return f"{self.done:,.0f}, {self.done / max(time.monotonic() - self.began, 1e-9):,.0f}/s"
        return f"{min(100 * self.done / self.total, 100):.0f} %, {self.left()} left"

    def left(self) -> timedelta:
        """Return how long the rest takes at the pace so far, in whole seconds; nothing before a first advance."""
        pace = (time.monotonic() - self.began) / self.done if self.done else 0
        return timedelta(seconds=round(pace * max((self.total or 0) - self.done, 0)))

    def clear(self) -> None:
        if sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr)


class Counting:
    """Environments that count their steps as something done; in all else they are the environments."""

    def __init__(self, envs: Any, progress: Progress, label: str) -> None:
        self._envs, self._progress, self._label = envs, progress, label

    def step(self, action: Any) -> Any:
        timestep = self._envs.step(action)
        self._progress.advance(self._label)
        return timestep

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_envs":  # as copies ask, before there are environments
            raise AttributeError(name)
        return getattr(self._envs, name)


@contextmanager
def counted(envs: E, label: str, steps: int | None) -> Iterator[E]:
    """Show how far something is that takes about so many steps of environments, or nobody knows how many: None."""
    progress = Progress(steps)
    try:
        yield cast(E, Counting(envs, progress, label))
    finally:
        progress.clear()
