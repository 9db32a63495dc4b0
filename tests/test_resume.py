"""Real processes, interrupted at any moment and resumed, end where the uninterrupted run ends: bit for bit.

`python tests/test_resume.py [COUNT [AGENT [TRAIN OPTIONS ...]]]` kills runs of infopower-small or together-small COUNT
(20) times over at random moments.
"""

import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import torch
from tiny import arguments, differing, together

import train
from agents.infopower import InfoPower
from agents.replay import ReplayBuffer
from agents.runs.interrupts import caught_signals

ROOT = Path(__file__).parent.parent
STEPS = 1200
LINES = {"infopower-small": arguments, "together-small": together}


def start(words: list[str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-u", str(ROOT / "train.py"), *words]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def interrupt_after(process: subprocess.Popen[str], text: str, number: int) -> str:
    """Send a signal once the process prints a line that starts with `text`; return all that it printed."""
    assert process.stdout is not None
    printed = ""
    for line in process.stdout:
        printed += line
        if line.startswith(text):
            process.send_signal(number)
            break
    printed += process.stdout.read()
    process.wait()
    return printed


def resume(run: Path) -> None:
    """Go on to the end in this process, with the options that are in the folder."""
    train.main([train.load_config(run).name, "--run", str(run), "--resume"])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an uninterrupted run, made in this process."""
    run = tmp_path_factory.mktemp("runs") / "whole"
    train.main(arguments(run, steps=STEPS))
    return run


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_process_ends_as_the_uninterrupted_one(
    whole: Path, tmp_path: Path, number: signal.Signals
) -> None:
    run = tmp_path / "run"
    process = start(arguments(run, steps=STEPS))
    printed = interrupt_after(process, "360/", number)
    (kept,) = [int(path.name) for path in (run / "checkpoints").iterdir() if path.name.isdigit()]
    if number == signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
        assert kept % 300 == 0 and kept < STEPS
    else:
        assert process.returncode == 128 + signal.SIGTERM
        assert printed.splitlines()[-1] == f"stopped by SIGTERM at step {kept:,}; --resume goes on"
        assert 360 <= kept < STEPS
    resume(run)
    assert differing(run, whole) == []


def test_a_run_that_loses_its_terminal_is_saved(tmp_path: Path) -> None:
    """As when a connection drops, or Ctrl-C ends what reads a run's lines first."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # a run that inherits nohup's disposition goes on
    process = start(arguments(tmp_path / "run", steps=STEPS))
    signal.signal(signal.SIGHUP, before)
    assert process.stdout is not None
    next(line for line in process.stdout if line.startswith("360/"))
    process.stdout.close()
    process.send_signal(signal.SIGHUP)
    assert process.wait() == 128 + signal.SIGHUP
    assert len(list((tmp_path / "run" / "checkpoints").iterdir())) == 1


def test_a_second_interrupt_is_not_needed(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Interrupt every 17th update of one process, by SIGINT; each time that is said, the step finished and saved."""
    run, update, updates = tmp_path / "run", InfoPower.update, 0

    def interrupting(self: InfoPower, replay: ReplayBuffer) -> dict[str, torch.Tensor]:
        nonlocal updates
        updates += 1
        if updates % 17 == 0:
            signal.raise_signal(signal.SIGINT)
        return update(self, replay)

    monkeypatch.setattr(InfoPower, "update", interrupting)
    words, stops = arguments(run, steps=STEPS), 0
    while True:
        try:
            train.main(words)
            break
        except SystemExit as stop:
            assert stop.code == 128 + signal.SIGINT
            words, stops = ["infopower-small", "--run", str(run), "--resume"], stops + 1
    assert stops == updates // 17 == capfd.readouterr().err.count("\nstopping: ") > 0
    assert differing(run, whole) == []


def test_a_second_signal_is_obeyed_at_once_and_handlers_are_put_back() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with caught_signals() as caught:
            signal.raise_signal(signal.SIGINT)
            assert caught == [signal.SIGINT]
            assert signal.getsignal(signal.SIGINT) == signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_run_killed_before_its_first_checkpoint_begins_again(whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    shutil.rmtree(run / "checkpoints")
    (run / "checkpoints" / "000000300.unfinished").mkdir(parents=True)
    train.main(["infopower-small", "--run", str(run), "--resume"])
    assert differing(run, whole) == []


def test_a_killed_run_of_several_agents_ends_as_the_uninterrupted_one(tmp_path: Path) -> None:
    train.main(together(tmp_path / "whole"))
    interrupt_after(start(together(tmp_path / "run")), "840/", signal.SIGKILL)
    (kept,) = [int(path.name) for path in (tmp_path / "run" / "checkpoints").iterdir() if path.name.isdigit()]
    assert kept % 560 == 0 and kept < 1400
    resume(tmp_path / "run")
    assert differing(tmp_path / "run", tmp_path / "whole") == []


def kill_many_times(count: int, agent: str, options: list[str]) -> bool:
    """Kill runs `count` times in all, at random moments of a process's life; say whether each ends as it should."""
    folder = Path(tempfile.mkdtemp())
    begun = time.monotonic()
    subprocess.run([sys.executable, str(ROOT / "train.py"), *LINES[agent](folder / "whole", *options)], check=True)
    seconds = time.monotonic() - begun
    kills, runs, equal = 0, 0, True
    while kills < count:
        runs += 1
        killed = kill_until_it_ends(folder / f"killed{runs}", agent, options, count - kills, seconds)
        different = differing(folder / f"killed{runs}", folder / "whole")
        print(f"killed {killed} times: {different or 'equal, bit for bit'}", flush=True)
        kills, equal = kills + killed, equal and not different
    return equal


def kill_until_it_ends(run: Path, agent: str, options: list[str], most: int, seconds: float) -> int:
    """Start a run, kill it up to `most` times within `seconds` of each start, let it end; return how often."""
    words, kills = LINES[agent](run, *options), 0
    while kills < most:
        process = start(words)
        try:
            process.communicate(timeout=random.uniform(0, seconds))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
        if process.returncode == 0:
            return kills
        if (run / "config.json").exists():
            words = [agent, "--run", str(run), "--resume"]
    start(words).communicate()  # from the beginning, if the last kill came before there was anything
    return kills


if __name__ == "__main__":
    times, name, *extra = [*sys.argv[1:], *("20", "infopower-small")[len(sys.argv) - 1 :]]
    sys.exit(0 if kill_many_times(int(times), name, extra or ["--steps", "3000"]) else "a resumed run ended elsewhere")
