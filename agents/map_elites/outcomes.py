"""What an episode says about the solution that played it: its return, and the measures at its end.

Time is next-step reset: a first row's reward answers no action of its episode, and a last row, of a time limit or of a
termination, holds the measures of the whole episode. Episodes that were not seen from their first row do not count.
"""

from typing import NamedTuple

import torch
from tensordict import TensorDict
from torch import Tensor

from agents.evaluation import Environments, evaluate
from agents.map_elites.solutions import Kind, Players, aged


class Ended(NamedTuple):
    """Whole episodes that have just ended: in which rows (n,), with which returns (n,) and measures (n, M)."""

    rows: Tensor
    objective: Tensor
    measures: Tensor


def nothing_yet(num_envs: int, device: torch.device) -> dict[str, Tensor]:
    """Return what `follow` keeps of N episodes of which nothing was seen."""
    return {
        "return": torch.zeros(num_envs, device=device),  # (N,) so far
        "whole": torch.zeros(num_envs, dtype=torch.bool, device=device),  # (N,) seen from the first row
        "age": torch.zeros(num_envs, dtype=torch.int64, device=device),  # (N,) actions so far
    }


def follow(timestep: TensorDict, carry: TensorDict) -> dict[str, Tensor]:
    """Take a timestep (N,) into the returns and the ages so far."""
    first = timestep["is_first"]  # (N,)
    return {
        "return": torch.where(first, 0.0, carry["return"] + timestep["reward"]),
        "whole": carry["whole"] | first,
        "age": aged(timestep, carry["age"]),
    }


def ended(timestep: TensorDict, followed: dict[str, Tensor]) -> Ended:
    """Return the episodes whose last rows these are; `followed` has taken them in."""
    rows = (timestep["is_last"] & followed["whole"]).nonzero().squeeze(1)  # (n,)
    return Ended(rows, followed["return"][rows], timestep["measures"][rows])


def play(kind: Kind, solutions: Tensor, envs: Environments) -> tuple[Tensor, Tensor]:
    """Play solutions (n, P) for one fresh episode each: returns (n,) and measures (n, M).

    They take turns in the N environments; what plays there besides, to fill these, does not count.
    """
    objective, measures = [], []
    for some in solutions.split(envs.num_envs):
        filled = some[torch.arange(envs.num_envs, device=some.device) % len(some)]  # (N, P)
        measured = Measured(envs)
        returns = evaluate(Players(kind, filled), measured, envs.num_envs)  # (N,)
        objective.append(returns[: len(some)])
        measures.append(measured.measures[: len(some)])
    return torch.cat(objective), torch.cat(measures)


class Measured:
    """Environments that keep the measures (N, M) of the first episode that ends in each."""

    def __init__(self, envs: Environments) -> None:
        self.envs, self.num_envs = envs, envs.num_envs

    def reset(self) -> TensorDict:
        """Begin new episodes; none has ended."""
        timestep = self.envs.reset()
        self.measures, self.found = torch.zeros_like(timestep["measures"]), torch.zeros_like(timestep["is_last"])
        return timestep

    def step(self, action: Tensor) -> TensorDict:
        """Step as the environments do."""
        timestep = self.envs.step(action)
        new = timestep["is_last"] & ~self.found  # (N,)
        self.measures = torch.where(new.unsqueeze(1), timestep["measures"], self.measures)
        self.found = self.found | new
        return timestep
