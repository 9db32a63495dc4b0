"""The folder of a run."""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agents.config import Config, rebuild
from agents.registry import preset
from agents.runs.tensor_folder import DAMAGE, one_line, replace


@contextmanager
def opened(run: Path, resume: bool) -> Iterator[None]:
    """Make a run folder, or go on in one, for this process alone; remove a new one if nothing came of it.

    Raises ValueError or OSError for a folder that is not empty, is in use or cannot be made.
    """
    lock = locked(run, resume)
    try:
        yield
    finally:
        if not resume and nothing_learnt(run):
            shutil.rmtree(run)
        os.close(lock)


def locked(run: Path, resume: bool) -> int:
    """Make the folder and lock it; return the lock, which ends with the process."""
    try:
        run.mkdir(parents=True, exist_ok=True)
        lock = os.open(run, os.O_RDONLY)
    except OSError as error:
        raise OSError(f"cannot write to run folder {run}: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise ValueError(f"run folder {run} is in use by another process") from error
    if not resume and any(run.iterdir()):
        os.close(lock)
        raise ValueError(f"run folder {run} is not empty: go on with --resume, or choose another with --run")
    return lock


def save_config(run: Path, config: Config[Any]) -> None:
    """Write the configuration into a run folder; raise OSError, in one line, if that cannot be."""
    try:
        replace(run / "config.json", (json.dumps(asdict(config), indent=2) + "\n").encode())
    except OSError as error:
        raise OSError(f"cannot write to run folder {run}: {error.strerror}") from error


def nothing_learnt(run: Path) -> bool:
    """Say whether a run ended before its first checkpoint and its first metrics."""
    metrics = run / "metrics.jsonl"
    kept = (run / "checkpoints").exists() or (run / "failure").exists()
    return not kept and not (metrics.exists() and metrics.stat().st_size)


def load_config(run: Path | str) -> Config[Any]:
    """Rebuild the configuration of a run folder; raise FileNotFoundError or ValueError, naming it, for what is none."""
    path = Path(run) / "config.json"
    if not path.exists():
        raise FileNotFoundError(f"there is no run in {run}: it has no config.json")
    try:
        values = json.loads(path.read_text())
        return rebuild(preset(values["name"]), values)
    except DAMAGE as error:
        raise ValueError(f"{path} is not the configuration of a run of this version: {one_line(error)}") from error
