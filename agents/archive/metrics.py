"""Figures over several archives: the four of MAP-Elites' paper, and archives of the same elites evaluated anew.

A run's archive gives m(x), the performance of the elite in cell x; M(x) is the best that any run of any algorithm found
for that cell (arXiv 1504.04909). The figures are ratios of performances, so these must not be negative.
"""

from collections.abc import Sequence

import torch
from tensordict import TensorDict
from torch import Tensor

from agents.archive.archive import Archive


def paper_metrics(archives: Sequence[Archive], offset: float = 0.0) -> dict[str, Tensor]:
    """Return the four figures of each of R runs (R,); `archives` must be of all runs of all algorithms compared."""
    return paper_figures(performance(archives, offset))


def paper_figures(found: Tensor) -> dict[str, Tensor]:
    """Return the four figures of each of R runs (R,), of their performances (R, C)."""
    return {
        "global_performance": global_performance(found),
        "global_reliability": global_reliability(found),
        "precision": precision(found),
        "coverage": coverage(found),
    }


def performance(archives: Sequence[Archive], offset: float = 0.0) -> Tensor:
    """Return m(x) of R archives (R, C): objective - offset, -inf where a cell is empty.

    offset: the lowest objective that there can be. Raises ValueError for archives of different cells, and for an
    objective below the offset.
    """
    if any(archive.tessellation.spec() != archives[0].tessellation.spec() for archive in archives[1:]):
        raise ValueError("archives can be compared cell by cell only if they have the same cells")
    found = torch.stack([archive.objective - offset for archive in archives])  # (R, C)
    lowest = found[found > -torch.inf].amin() if (found > -torch.inf).any() else torch.zeros(())
    if lowest < 0:
        raise ValueError(f"an offset of {offset} leaves a negative performance; take at most {offset + float(lowest)}")
    return found


def global_performance(found: Tensor) -> Tensor:
    """Return the best performance of each run as a share of the best of all: (R, C) -> (R,), 0 for an empty run."""
    return ratio(found, found.amax()).amax(1)


def global_reliability(found: Tensor) -> Tensor:
    """Average m(x) / M(x) over the cells that any run filled: (R, C) -> (R,); a cell that a run lacks counts as 0."""
    best = found.amax(0)  # (C,) M(x)
    return ratio(found, best).sum(1) / (best > -torch.inf).sum()


def precision(found: Tensor) -> Tensor:
    """Average m(x) / M(x) over the cells that the run itself filled: (R, C) -> (R,), NaN for an empty run."""
    return ratio(found, found.amax(0)).sum(1) / (found > -torch.inf).sum(1)


def coverage(found: Tensor) -> Tensor:
    """Return how many cells each run filled as a share of those that any run filled: (R, C) -> (R,)."""
    return (found > -torch.inf).sum(1) / (found.amax(0) > -torch.inf).sum()


def ratio(found: Tensor, best: Tensor) -> Tensor:
    """Return found / best (R, C), 0 where nothing was found; 1 where the best there is, is 0 (our choice)."""
    return torch.where(found > -torch.inf, torch.where(best > 0, found / best, 1), 0)


def corrected(archive: Archive, elites: TensorDict, objective: Tensor, measures: Tensor) -> Archive:
    """Return an archive of the same cells with these elites where fresh evaluations alone put them.

    What won a cell was chosen for its luck. Figures without that luck are those of elites evaluated anew, some of which
    then fall into the same cell or outside the ranges (Flageat, Cully, arXiv 2302.00463).
    objective (B,) or (B, K) and measures (B, M) or (B, K, M), of none of the evaluations that the elites carry.
    """
    fresh = Archive(archive.tessellation, archive.solution_dim, archive.extra, archive.outside)
    fresh.add(elites["solution"], objective, measures, **{name: elites[name] for name in archive.extra})
    return fresh
