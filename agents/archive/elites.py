"""Where elites lie: a row for each cell in every field, and the ways in and out that never make the host wait."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from tensordict import TensorDict
from torch import Tensor

Extra = Mapping[str, tuple[tuple[int, ...], torch.dtype]]  # name -> shape of a row, type

BLOCK = 2**18  # bytes copied through a processor's cache at a time
NAMES = {"cell", "objective", "measures", "objective_std", "measures_std"}  # that `read` makes of the fields


class Elites:
    """One elite at most in each of C cells, in fields of C + 1 rows.

    An evaluation's outcome is its objective and its measures (1 + M). Row C stands for "no cell": what may not be
    written goes there, and its objective is infinite, so that nothing is better.
    """

    def __init__(
        self, cells: int, solution_dim: int, measure_dim: int, extra: Extra, device: torch.device, dtype: torch.dtype
    ) -> None:
        layout: dict[str, tuple[tuple[int, ...], torch.dtype]] = {
            "solution": ((solution_dim,), dtype),
            "mean": ((1 + measure_dim,), dtype),  # of the outcomes; the objective is -inf where there is no elite
            "squares": ((1 + measure_dim,), dtype),  # sum of the outcomes' squared deviations from their mean
            "evaluations": ((), torch.int64),  # 0 where there is no elite
            "serial": ((), torch.int64),  # rows offered before this one: tells elites apart, and when each came
        }
        if taken := (layout.keys() | NAMES) & extra.keys():
            raise ValueError(f"an archive has fields of its own named {', '.join(sorted(taken))}")
        self.cells, self.device = cells, device
        self.fields = {
            name: torch.zeros(cells + 1, *shape, dtype=kind, device=device)
            for name, (shape, kind) in (layout | dict(extra)).items()
        }
        # the same memory, on the processor
        self._arrays = {name: stored.numpy() for name, stored in self.fields.items() if device.type == "cpu"}
        self.mean, self.evaluations, self.serial = (self.fields[name] for name in ("mean", "evaluations", "serial"))
        self.objective = self.mean[:, 0]  # (C+1,)
        self.clear()

    def clear(self) -> None:
        """Forget all elites."""
        self.evaluations.zero_()
        self.objective.fill_(-torch.inf)
        self.objective[-1:] = torch.inf

    def holds(self, cell: Tensor, serial: Tensor) -> Tensor:
        """Say whether the elites with these numbers are in these cells (B,)."""
        there = (self.serial.index_select(0, cell) == serial) & (self.evaluations.index_select(0, cell) > 0)
        return there & (cell < self.cells)

    def write(self, rows: Mapping[str, Tensor], same: Mapping[str, int], kept: Tensor, cell: Tensor) -> None:
        """Copy the kept ones (B,) of rows (B, ...) to their cells (B,); rows for one cell must be equal.

        same: values of the fields that are equal in all rows.
        """
        if self._arrays:
            chosen = kept.numpy().nonzero()[0]
            places = cell.numpy()[chosen]
            for name, values in rows.items():
                copy_rows(values.numpy(), chosen, self._arrays[name], places)
            for name, value in same.items():
                self._arrays[name][places] = value
        else:  # only the device knows how many are kept: the others go to row C
            place = cell.where(kept, torch.full_like(cell, self.cells))
            for name, values in rows.items():
                self.fields[name].index_copy_(0, place, values.to(self.fields[name].dtype))
            for name, value in same.items():
                self.fields[name].index_fill_(0, place, value)
            self.objective[-1:] = torch.inf

    def leave(self, cell: Tensor) -> None:
        """Empty cells (B,); C empties none."""
        self.evaluations.index_fill_(0, cell, 0)
        self.objective.index_fill_(0, cell, -torch.inf)
        self.objective[-1:] = torch.inf

    def merge(self, cell: Tensor, outcomes: Tensor) -> None:
        """Take further outcomes (B, K, 1+M) of the elites in cells (B,) into their moments; C takes none.

        Moments of two samples are merged as by Chan, Golub and LeVeque (1979). Several rows may be for one cell.
        """
        cell = cell.repeat_interleave(outcomes.shape[1])  # (B*K,)
        outcomes = outcomes.flatten(0, 1)  # (B*K, 1+M)
        old, squares = self.evaluations, self.fields["squares"]
        new = torch.zeros_like(old).index_add_(0, cell, torch.ones_like(cell))  # (C+1,)
        new[-1:] = 0
        mean = torch.zeros_like(self.mean).index_add_(0, cell, outcomes) / new.clamp(min=1).unsqueeze(1)  # (C+1, 1+M)
        squares.index_add_(0, cell, (outcomes - mean.index_select(0, cell)).square())
        change = torch.where(new.unsqueeze(1) > 0, mean - self.mean, 0)  # (C+1, 1+M)
        share = new.to(mean.dtype) / (old + new).clamp(min=1)  # (C+1,)
        squares += change.square() * (share * old).unsqueeze(1)
        self.mean += change * share.unsqueeze(1)
        old += new

    def rows(self, cell: Tensor) -> dict[str, Tensor]:
        """Copy the fields' rows (B, ...) of cells (B,)."""
        return {name: stored.index_select(0, cell) for name, stored in self.fields.items()}

    def read(self, cell: Tensor) -> TensorDict:
        """Copy elites out of cells (B,), with the standard deviation of an evaluation, NaN where there was but one."""
        rows = self.rows(cell)
        mean, squares = rows.pop("mean"), rows.pop("squares")  # (B, 1+M)
        std = (squares / (rows["evaluations"] - 1).unsqueeze(1)).sqrt()
        rows |= {
            "objective": mean[:, 0],
            "measures": mean[:, 1:],
            "objective_std": std[:, 0],
            "measures_std": std[:, 1:],
        }
        return TensorDict({"cell": cell, **rows}, batch_size=cell.shape, device=self.device)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the occupied cells and their rows: no more memory than the elites take."""
        cell = (self.evaluations[:-1] > 0).nonzero().squeeze(1)
        return {"cell": cell, **self.rows(cell)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Hold exactly these elites."""
        self.clear()
        for name, stored in self.fields.items():
            stored.index_copy_(0, state_dict["cell"].to(self.device), state_dict[name].to(self.device))


def copy_rows(source: np.ndarray, rows: np.ndarray, target: np.ndarray, places: np.ndarray) -> None:
    """Set target[places] = source[rows], in blocks that stay in the cache between reading and writing.

    NumPy moves whole rows; torch's `index_copy_` on the processor moves number after number, several times slower.
    """
    step = max(1, BLOCK // max(1, target.nbytes // len(target)))
    for i in range(0, len(rows), step):
        target[places[i : i + step]] = source[rows[i : i + step]]
