"""Runs that a benchmark is about: trained where they are missing."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from agents.runs import checkpoint
from agents.runs.folder import load_config

ROOT = Path(__file__).parents[2]


def train_missing(run: Path, words: Sequence[str]) -> None:
    """Call `train.py` with these words to make a run, or to go on with one that is not at its end."""
    command = [sys.executable, str(ROOT / "train.py"), words[0], "--run", str(run.absolute())]
    newest = checkpoint.newest(run / "checkpoints")
    if newest is None:
        command += ["--threads", "1", *words[1:]]
    elif int(newest.name) >= load_config(run).steps:
        return
    else:
        command.append("--resume")
    subprocess.run(command, check=True, cwd=ROOT)
