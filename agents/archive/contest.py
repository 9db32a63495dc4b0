"""Which rows of a batch may enter an archive, and which of them do.

Written twice: in torch for any device, and in NumPy for processors, where its calls on a few hundred numbers take half
the time and calls are all that a small batch costs. Tests hold the two against each other.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class Rules(NamedTuple):
    """The functions below, in one of the two ways.

    total    rows (B,) -> how many are true; a tensor where only the device knows
    check    outcomes (B, 1+M) and their bounds (1+M,) -> which rows are finite, and which lie inside, both (B,)
    contest  the objective in each cell (C+1,), and rows' cells, objectives and serial numbers (B,)
             -> status (B,) int64, 2 for a row that would enter an empty cell, 1 a cell whose elite is worse, else 0;
             and which rows (B,) are in their cells after the batch: the best of each cell, of equals the first
    """

    total: Callable[[Tensor], int | Tensor]
    check: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
    contest: Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


def check(mean: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    inside = (mean.clamp(low, high) == mean).all(1)
    return mean.abs().amax(1) < torch.inf, inside  # a NaN is neither


def contest(stored: Tensor, cell: Tensor, objective: Tensor, serial: Tensor) -> tuple[Tensor, Tensor]:
    current = stored.index_select(0, cell)  # (B,)
    better = objective > current
    # in whatever order the device works
    best = stored.scatter_reduce(0, cell, objective, "amax").index_select(0, cell)  # (B,)
    wins = better & (objective == best)
    never = torch.full_like(stored, torch.iinfo(torch.int64).max, dtype=torch.int64)  # (C+1,)
    first = never.scatter_reduce(0, cell, serial.where(wins, never[0]), "amin").index_select(0, cell)  # (B,)
    return better.long().add_(current.isneginf()), serial == first


def total_in_numpy(rows: Tensor) -> int:
    return int(np.count_nonzero(rows.numpy()))


def check_in_numpy(mean: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    values = mean.numpy()
    inside = ((values >= low.numpy()) & (values <= high.numpy())).all(1)
    return torch.from_numpy(np.isfinite(values).all(1)), torch.from_numpy(inside)


def contest_in_numpy(stored: Tensor, cell: Tensor, objective: Tensor, serial: Tensor) -> tuple[Tensor, Tensor]:
    places, values, numbers = cell.numpy(), objective.numpy(), serial.numpy()
    best = stored.numpy().copy()  # (C+1,)
    current = best[places]  # (B,)
    better = values > current
    np.fmax.at(best, places, values)
    wins = better & (values == best[places])
    first = np.full(len(best), np.iinfo(np.int64).max)  # (C+1,)
    np.minimum.at(first, places[wins], numbers[wins])
    kept = wins & (numbers == first[places])
    return torch.from_numpy(better.astype(np.int64) + np.isneginf(current)), torch.from_numpy(kept)


IN_TORCH = Rules(torch.count_nonzero, check, contest)
IN_NUMPY = Rules(total_in_numpy, check_in_numpy, contest_in_numpy)
