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

from agents.config import Config


@contextmanager
def opened(run: Path, config: Config[Any], resume: bool) -> Iterator[None]:
    """Make a run folder for this process alone, with the configuration in it; leave none if nothing was trained."""
    try:
        run.mkdir(parents=True, exist_ok=True)
        lock = os.open(run, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not resume and any(run.iterdir()):
            raise ValueError(f"run folder {run} is not empty: go on with --resume, or choose another with --run")
        aside = run / "config.json.unfinished"
        aside.write_text(json.dumps(asdict(config), indent=2) + "\n")
        os.replace(aside, run / "config.json")
    except BlockingIOError as error:
        raise ValueError(f"run folder {run} is in use by another process") from error
    except OSError as error:
        raise OSError(f"cannot write to run folder {run}: {error.strerror}") from error
    try:
        yield
    except (ValueError, OSError):
        if not resume and not (run / "checkpoints").exists() and (run / "metrics.jsonl").stat().st_size == 0:
            shutil.rmtree(run)
        raise
    finally:
        os.close(lock)
