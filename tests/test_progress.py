"""The line that says how far something is, on a terminal and nowhere else."""

import io
import sys

import pytest

from views import progress
from views.progress import Progress, counted


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Steps:
    """Environments that count."""

    num_envs, taken = 3, 0

    def step(self, action: int) -> int:
        self.taken += 1
        return action


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_share_and_time_left(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """Three of four in six seconds: two seconds left; never more than all of it."""
    monkeypatch.setattr(sys, "stderr", Terminal())
    shown = Progress(4)
    for clock[0] in (2.0, 4.0, 6.0):
        shown.advance("playing")
    assert sys.stderr.getvalue().split("\r")[-1] == "playing: 75 %, 0:00:02 left\x1b[K"
    clock[0] = 10.0
    shown.advance("playing", 9)
    assert sys.stderr.getvalue().split("\r")[-1] == "playing: 100 %, 0:00:00 left\x1b[K"


def test_where_nobody_knows_how_much(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    shown, clock[0] = Progress(None), 2.0
    shown.advance("steps", 3000)
    assert sys.stderr.getvalue() == "\rsteps: 3,000, 1,500/s\x1b[K"


def test_environments_that_are_counted_are_what_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line goes when they have played, however that ends; and a file sees nothing of it."""
    envs, terminal = Steps(), Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with pytest.raises(KeyboardInterrupt), counted(envs, "playing", 2) as playing:
        assert (playing.step(5), playing.num_envs, envs.taken) == (5, 3, 1)
        raise KeyboardInterrupt
    assert "playing: 50 %" in terminal.getvalue() and terminal.getvalue().endswith("\r\x1b[K")
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with counted(envs, "playing", 2) as playing:
        playing.step(5)
    assert sys.stderr.getvalue() == ""
