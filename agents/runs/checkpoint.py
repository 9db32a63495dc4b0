"""Checkpoints that are whole or not there: folders named by step, written aside and renamed."""

import os
import pickle
import shutil
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

UNFINISHED = ".unfinished"  # suffix of folders that are being written


def save(checkpoints: Path, step: int, files: Mapping[str, Any], keep: Sequence[str] = ()) -> Path:
    """Write one folder of `torch.save` files for a step, then remove older ones but for files to keep; return its path.

    A crash or a full disk at any point leaves the previous checkpoint the newest complete one. A complete checkpoint
    of the same step stays as it is. Raises OSError, naming the folder, when it cannot be written.
    """
    final = checkpoints / f"{step:09d}"
    aside = final.with_suffix(UNFINISHED)
    if final.exists():
        return final
    try:
        checkpoints.mkdir(parents=True, exist_ok=True)
        remove(checkpoints.glob(f"*{UNFINISHED}"))
        aside.mkdir()
        for name, value in files.items():
            write(aside / name, value)
        sync_folder(aside)
        os.rename(aside, final)
    except OSError as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise OSError(f"cannot write checkpoint {final}: {error.strerror}; earlier checkpoints are kept") from error
    sync_folder(checkpoints)
    for older in (path for path in complete(checkpoints) if path != final):
        if any((older / name).exists() for name in keep):
            for name in files.keys() - set(keep):
                (older / name).unlink(missing_ok=True)
        else:
            shutil.rmtree(older)
    return final


def newest(checkpoints: Path) -> Path | None:
    """Return the newest complete checkpoint, if there is one."""
    return next(reversed(complete(checkpoints)), None)


def of_step(checkpoints: Path, step: int | None) -> Path:
    """Return the checkpoint of a step, or of what is left of it, by default the newest.

    Raises FileNotFoundError where there is none, naming the steps that there are.
    """
    there = {int(path.name): path for path in complete(checkpoints)}
    if not there:
        raise FileNotFoundError(f"the run {checkpoints.parent} has no checkpoint yet")
    if step is not None and step not in there:
        steps = ", ".join(map(str, there))
        raise FileNotFoundError(f"the run {checkpoints.parent} has no checkpoint of step {step}: it has {steps}")
    return there[max(there) if step is None else step]


def load(path: Path, mmap: bool = False) -> Any:
    """Read one file of a checkpoint onto the CPU, checking every byte.

    mmap: leave tensors in the file until they are read, for what is copied elsewhere at once.
    Raises FileNotFoundError or ValueError, naming the file, when it is missing or damaged.
    """
    if not path.exists():
        raise FileNotFoundError(f"there is no {path}")
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is None:
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except (zipfile.BadZipFile, EOFError, pickle.UnpicklingError, RuntimeError) as error:
        raise ValueError(f"checkpoint file {path} is damaged: {str(error).splitlines()[0]}") from error
    raise ValueError(f"checkpoint file {path} is damaged: wrong check sum of {damaged}")


def restore(part: Any, path: Path, mmap: bool = False) -> None:
    """Let an agent, or a replay, continue from one file of a checkpoint.

    Raises what `load` raises, and ValueError, naming the file, when it is of something that is made in another way.
    """
    state = load(path, mmap)
    try:
        part.load_state_dict(state)
    except torch.OutOfMemoryError:
        raise
    except (KeyError, TypeError, RuntimeError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise ValueError(
            f"checkpoint file {path} does not fit: it is of other settings or of another version, take those or train "
            f"anew ({reason:.200})"
        ) from error


def complete(checkpoints: Path) -> list[Path]:
    """List complete checkpoints, oldest first."""
    if not checkpoints.is_dir():
        return []
    return sorted((path for path in checkpoints.iterdir() if path.name.isdigit()), key=lambda path: int(path.name))


def write(path: Path, value: Any) -> None:
    with path.open("wb") as file:
        try:
            torch.save(value, file)
        except RuntimeError as error:  # raised by torch's writer when it is closed after a failed write
            raise error.__context__ if isinstance(error.__context__, OSError) else error from None
        file.flush()
        os.fsync(file.fileno())


def remove(folders: Iterable[Path]) -> None:
    for folder in list(folders):
        shutil.rmtree(folder)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
