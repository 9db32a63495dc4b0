"""A folder of one JSON file, which says what something is made of, and one file of its tensors, as safetensors.

The JSON file holds the other's name and check sum, and is renamed into place last: a crash at any point leaves what was
there before or what is new, whole.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors import torch as safetensors
from torch import Tensor

from agents.runs.checkpoint import sync_folder

UNFINISHED = ".unfinished"  # suffix of files that are being written
DAMAGE = (ValueError, TypeError, KeyError, IndexError, AttributeError, RuntimeError, SafetensorError)


def save(path: Path, about: Mapping[str, Any], tensors: Mapping[str, Tensor], stem: str) -> None:
    """Write `about` as the JSON file of a path and tensors beside it, in the place of those that may be there.

    Names of tensor files begin with `stem`. Raises OSError.
    """
    data = safetensors.save({name: value.detach().cpu().contiguous() for name, value in tensors.items()})
    digest = hashlib.sha256(data).hexdigest()
    name = f"{stem}-{digest[:16]}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    replace(path.with_name(name), data)
    replace(path, json.dumps({**about, "tensors": name, "sha256": digest}).encode())
    for old in path.parent.glob(f"{stem}-*"):
        if old.name != name:
            old.unlink()


def load(path: Path, form: int, what: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read the JSON file of a path and its tensors onto the CPU, checking every byte.

    form: the one `format` that is understood. what: a word for what this is.
    Raises FileNotFoundError or ValueError, naming the file, when a part is missing, damaged or of something else.
    """
    description = read(path)
    try:
        about = json.loads(description)
        found, digest = about["format"], about["sha256"]
        beside = path.with_name(about["tensors"]) if found == form else path
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path} is damaged: {one_line(error)}") from error
    if found != form:
        raise ValueError(f"{path} has format {found}; this version reads {form}")
    data = read(beside)
    if hashlib.sha256(data).hexdigest() != digest:
        raise ValueError(f"{beside} is damaged, or not of this {what}: it has another check sum")
    return about, safetensors.load(data)


def replace(path: Path, data: bytes) -> None:
    """Put a whole file in the place of another: written aside, on the disk before it has its name."""
    aside = path.with_name(path.name + UNFINISHED)
    try:
        with aside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
    sync_folder(path.parent)


def read(path: Path) -> bytes:
    if not path.exists():
        raise FileNotFoundError(f"there is no {path}")
    return path.read_bytes()


def one_line(error: Exception) -> str:
    return f"it lacks {error}" if isinstance(error, KeyError) else str(error).splitlines()[0]
