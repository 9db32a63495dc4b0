"""The archive of an agent: its settings, and what is made of them for a task's measures."""

from dataclasses import dataclass
from typing import Literal

import torch

from agents.archive.archive import Archive
from agents.archive.elites import Extra
from agents.archive.tessellations import CVT, Grid, Tessellation, k_means_centroids
from agents.spaces import Spaces

EXTRA: Extra = {"emitter": ((), torch.int64)}  # of an elite: which emitter made it
CVT_SEED = 0  # the same cells for every run, so that archives can be compared cell by cell: our choice


@dataclass(frozen=True)
class ArchiveConfig:
    cells: int = 1024
    """Cells around centroids (CVT), where there is no grid."""
    grid: tuple[int, ...] = ()
    """Cells along each measure, for a grid instead."""
    ranges: tuple[tuple[float, float], ...] = ()
    """Least and largest value of each measure: LOW HIGH LOW HIGH ... Default: what the task says."""
    outside: Literal["reject", "clip"] = "reject"
    """What happens to solutions whose measures lie outside."""
    reevaluate: float = 0.1
    """Share of the evaluations in which elites play again."""
    history_every: int = 256
    """Solutions offered between the frames of the archive's history; elites that play again are not counted."""


def make_archive(config: ArchiveConfig, spaces: Spaces, solution_dim: int, device: torch.device | str) -> Archive:
    """Make an empty archive of solutions (P,) over a task's measures; raise ValueError, in one line, if none can be."""
    ranges = ranges_of(config, spaces)
    if config.history_every < 1:
        raise ValueError(f"--agent.archive.history-every must be at least 1, not {config.history_every}")
    return Archive(tessellate(config, ranges, device), solution_dim, EXTRA, config.outside)


def ranges_of(config: ArchiveConfig, spaces: Spaces) -> tuple[tuple[float, float], ...]:
    """Return the ranges of the measures (M,): those given, or the task's."""
    names = spaces.measures
    if not names:
        raise ValueError("an archive needs measures: name them with --measures; a wrong name is answered by those near")
    if config.ranges:
        if len(config.ranges) != len(names):
            raise ValueError(f"--agent.archive.ranges: {len(config.ranges)} given for {len(names)}: {', '.join(names)}")
        return config.ranges
    known = tuple(side for side in spaces.ranges if side is not None)
    if len(known) < len(names):
        endless = [name for name, side in zip(names, spaces.ranges, strict=True) if side is None]
        raise ValueError(
            f"nothing bounds {', '.join(endless)}: give --agent.archive.ranges LOW HIGH for each of {', '.join(names)}"
        )
    return known


def tessellate(
    config: ArchiveConfig, ranges: tuple[tuple[float, float], ...], device: torch.device | str
) -> Tessellation:
    """Cut the box of the ranges into a grid, if there is one in the settings, or around centroids."""
    if config.grid:
        if len(config.grid) != len(ranges) or min(config.grid) < 1:
            raise ValueError(f"--agent.archive.grid needs {len(ranges)} numbers of at least 1, not {list(config.grid)}")
        if config.cells != ArchiveConfig.cells:
            raise ValueError(
                f"--agent.archive.cells {config.cells} beside a grid of {config.grid}: for cells around centroids add "
                "--agent.archive.grid without numbers"
            )
        return Grid(config.grid, ranges, device)
    if config.cells < 2:
        raise ValueError(f"--agent.archive.cells must be at least 2, not {config.cells}")
    return CVT(k_means_centroids(config.cells, ranges, CVT_SEED), ranges, device)
