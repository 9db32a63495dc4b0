"""How an archive filled: what changed in its cells, frame by frame, in few bytes.

A frame holds the cells that are not as they were in the frame before: the serial number of the elite that is there now
and its mean objective, or that none is. `archive.files.save` keeps the elites of the end; the serial numbers tell which
of them came when.
"""

from pathlib import Path
from typing import Any

import torch
from safetensors import torch as safetensors
from torch import Tensor

from agents.archive.archive import Archive
from agents.runs.tensor_folder import read, replace

FILE = "history.safetensors"
EMPTY = -1  # serial number of no elite


class History:
    """Frames of an archive of C cells, at least `every` rows offered between one and the next; kept on the CPU."""

    def __init__(self, cells: int, every: int) -> None:
        self.cells, self.every = cells, every
        self.evaluations: list[int] = []  # F: rows that had been offered
        self.changes: list[tuple[Tensor, Tensor, Tensor]] = []  # F x (cell int32, serial int64, objective float32)
        self._serial, self._objective = nothing(cells)  # (C,), (C,) as of the last frame

    def __len__(self) -> int:
        return len(self.evaluations)

    def record(self, archive: Archive) -> None:
        """Add a frame, unless the last one is too recent."""
        if self.evaluations and archive.offered < self.evaluations[-1] + self.every:
            return
        self.add_frame(archive)

    def add_frame(self, archive: Archive) -> None:
        """Add a frame of what an archive holds now."""
        serial, objective = archive.serial.cpu(), archive.objective.float().cpu()  # (C,), (C,)
        cell = ((serial != self._serial) | (objective != self._objective)).nonzero().squeeze(1)
        self.evaluations.append(archive.offered)
        self.changes.append((cell.int(), serial[cell], objective[cell]))
        self._serial, self._objective = serial.clone(), objective.clone()

    def at(self, frame: int) -> tuple[Tensor, Tensor]:
        """Return what the cells held in a frame: serial numbers (C,), -1 for none, and objectives (C,), -inf."""
        serial, objective = nothing(self.cells)
        for cell, serials, objectives in self.changes[: frame + 1]:
            serial[cell.long()], objective[cell.long()] = serials, objectives
        return serial, objective

    def state_dict(self) -> dict[str, Tensor]:
        """Return all frames: what changed, and how much of it belongs to each."""
        none = (torch.zeros(0, dtype=torch.int32), torch.zeros(0, dtype=torch.int64), torch.zeros(0))
        cell, serial, objective = (torch.cat(parts) for parts in zip(none, *self.changes, strict=True))
        return {
            "cells": torch.tensor(self.cells),
            "every": torch.tensor(self.every),
            "evaluations": torch.tensor(self.evaluations, dtype=torch.int64),  # (F,)
            "count": torch.tensor([len(cell) for cell, _, _ in self.changes], dtype=torch.int64),  # (F,)
            "cell": cell,
            "serial": serial,
            "objective": objective,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Hold exactly these frames."""
        count = state_dict["count"].tolist()
        parts = (state_dict[name].split(count) for name in ("cell", "serial", "objective"))
        self.changes = list(zip(*parts, strict=True)) if count else []
        self.evaluations = state_dict["evaluations"].tolist()
        self._serial, self._objective = self.at(len(self) - 1)


def nothing(cells: int) -> tuple[Tensor, Tensor]:
    return torch.full((cells,), EMPTY), torch.full((cells,), -torch.inf)


def save(history: History, archive: Archive, folder: Path) -> None:
    """Write the frames beside the archive that they lead to, with one of what it holds now."""
    last = History(history.cells, history.every)
    last.load_state_dict(history.state_dict())
    last.add_frame(archive)
    folder.mkdir(parents=True, exist_ok=True)
    replace(folder / FILE, safetensors.save(last.state_dict()))


def load(folder: Path) -> History:
    """Read the frames beside an archive; raise FileNotFoundError if there are none."""
    state = safetensors.load(read(folder / FILE))
    history = History(int(state["cells"]), int(state["every"]))
    history.load_state_dict(state)
    return history
