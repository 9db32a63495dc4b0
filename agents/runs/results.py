"""What evaluations of a run found, kept in its folder: `evaluation.json`, a list of conditions.

Conditions that belong to a suite say which, as `suite` and `condition`; others are of plain evaluations, newest first.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agents.runs.tensor_folder import replace

FILE = "evaluation.json"
PLAIN = ("suite", "distraction", "policy", "seed")  # what a condition takes the place of
OF_SUITE = ("suite", "condition", "videos", "policy", "seed")

Result = dict[str, Any]


def find_runs(folder: Path) -> list[Path]:
    """Return the folder, if it is a run, or all runs in it; raise FileNotFoundError if there is none."""
    if (folder / "config.json").exists():
        return [folder]
    found = sorted(path.parent for path in folder.rglob("config.json")) if folder.is_dir() else []
    if not found:
        raise FileNotFoundError(f"there is no run in {folder}: neither it nor a folder in it has a config.json")
    return found


def read(run: Path) -> list[Result]:
    """Return all conditions that were evaluated; raise ValueError for a damaged file."""
    path = run / FILE
    if not path.exists():
        return []
    try:
        found = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is damaged at line {error.lineno}: {error.msg}") from error
    if not isinstance(found, list):
        raise ValueError(f"{path} is damaged: it holds no list of conditions")
    return found


def keep(run: Path, results: Sequence[Result]) -> Path:
    """Put conditions of a plain evaluation in the place of the same ones; all others stay. Return the file."""
    return write(run, [*results, *(old for old in read(run) if not any(same(old, new, PLAIN) for new in results))])


def keep_of_suite(run: Path, result: Result) -> Path:
    """Put a condition of a suite in the place of an earlier one; all others stay. Return the file."""
    return write(run, [*(old for old in read(run) if not same(old, result, OF_SUITE)), result])


def same(old: Result, new: Result, names: Sequence[str]) -> bool:
    """Say whether two conditions agree in what these names say of them."""
    return all(old.get(name) == new.get(name) for name in names)


def check_writable(run: Path) -> None:
    """Raise what would keep a result from being kept, before anything is played."""
    read(run)
    if not os.access(run, os.W_OK):
        raise OSError(f"cannot write to run folder {run}: permission denied")


def write(run: Path, results: Sequence[Result]) -> Path:
    replace(run / FILE, (json.dumps(results, indent=2) + "\n").encode())
    return run / FILE


def measured(results: Sequence[Result], described: Mapping[str, Any], episodes: int) -> Result | None:
    """Return what was found before under exactly this description in as many episodes, if it was."""
    for result in results:
        same = all(name in result and result[name] == value for name, value in described.items())
        if same and len(result["returns"]) == episodes:
            return result
    return None
