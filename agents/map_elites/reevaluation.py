"""Elites evaluated anew: some all the time, so that luck wears off; all of them for a report.

An evaluation is noisy, and what won a cell was chosen for its luck. So a share of what is played is elites, those first
that were evaluated least. The figures of a report come from fresh evaluations alone, on a copy.
"""

from typing import Any

import torch
from tensordict import TensorDict
from torch import Tensor

from agents.archive import Archive, metrics
from agents.evaluation import Environments
from agents.map_elites.outcomes import play
from agents.map_elites.solutions import Kind


class Reevaluation:
    """Say which elites are to be played again, so that they get a share of what is played."""

    def __init__(self, archive: Archive, share: float) -> None:
        """Raise ValueError for a share outside [0, 1)."""
        if not 0 <= share < 1:
            raise ValueError(f"--agent.archive.reevaluate must lie in [0, 1), not {share}")
        self.archive, self.share, self.credit = archive, share, 0.0

    def draw(self, count: int, playing: Tensor) -> TensorDict:
        """Return the elites that take part in the next `count` evaluations, (n,) with n <= count.

        playing: cells whose elites are playing again now, so that others get their turn; C for none, (k,) int64.
        """
        self.credit += self.share * count
        there = int(self.archive.occupied.sum() - (playing < self.archive.cells).sum())  # or more, by elites that left
        due = min(int(self.credit), count, max(there, 0))
        self.credit -= int(self.credit)  # what there are no elites for is not owed to them later
        return self.archive.least_evaluated(due, playing)

    def state_dict(self) -> dict[str, Any]:
        return {"credit": self.credit}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.credit = state_dict["credit"]


def reported(archive: Archive, kind: Kind, envs: Environments) -> Archive:
    """Return an archive of the same elites where one fresh evaluation each puts them; the original stays as it is."""
    elites = archive.elites()
    if not len(elites):
        return archive
    objective, measures = play(kind, elites["solution"], envs)
    return metrics.corrected(archive, elites, objective, measures)


def figures(archive: Archive, name: str) -> dict[str, Tensor]:
    """Return an archive's figures, their names after `name` and a slash; maximum and mean are 0 when it is empty."""
    stats = archive.stats()
    shown = {"qd_score": "qd_score", "coverage": "coverage", "max": "objective_max", "mean": "objective_mean"}
    return {f"{name}/{short}": torch.nan_to_num(stats[long]) for short, long in shown.items()}
