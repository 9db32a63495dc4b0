"""What solutions would do, as an ensemble of models imagines it: which offspring are worth a real episode.

As in Dynamics-Aware Quality-Diversity (arXiv 2109.08522), offspring are played in learned dynamics first. There an
imagined archive decides which are evaluated; here each model of the ensemble votes whether the real archive would keep
a solution, and those with most votes are evaluated (our choice). A solution of which the models disagree so comes
before one that all of them reject, and nothing enters the archive on a model's word.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from agents.archive import Archive
from agents.solutions import Perceptrons

Step = Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]
"""States (K, n, O) and actions (K, n, A) of K models -> states, rewards (K, n) and readings (K, n, M)."""


class Begun(NamedTuple):
    """First rows of real episodes: states (n, O), and what the measures read there (n, M)."""

    state: Tensor
    readings: Tensor


@torch.no_grad()
def imagine(
    step: Step, perceptrons: Perceptrons, solutions: Tensor, begun: Begun, steps: int, kinds: tuple[str, ...]
) -> tuple[Tensor, Tensor]:
    """Play solutions (n, P) for an episode in each of K models: returns (K, n) and measures (K, n, M).

    Each begins in a state of its own. `kinds` says how each measure is made of the readings. No episode ends early.
    """
    state, first = begun.state.unsqueeze(0), begun.readings.unsqueeze(0)  # (1, n, O), (1, n, M)
    total, most = torch.zeros((), device=state.device), first
    summed = torch.zeros_like(first)
    for _ in range(steps):
        action = perceptrons(solutions, state.transpose(0, 1)).transpose(0, 1)  # (K, n, A)
        state, reward, readings = step(state, action)
        total, summed, most = total + reward, summed + readings, torch.maximum(most, readings)
    made = {"mean": summed / steps, "maximum": most, "change": readings - first}  # each (K, n, M)
    return total, torch.stack([made[kind][..., m] for m, kind in enumerate(kinds)], -1)


def votes(archive: Archive, objective: Tensor, measures: Tensor) -> Tensor:
    """Return which share of the models says that the archive would keep a solution: (n,) of (K, n) and (K, n, M)."""
    kept = archive.would_keep(objective.flatten(), measures.flatten(0, 1))  # (K * n,)
    return kept.view_as(objective).float().mean(0)


def elected(votes: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Return the places of the `count` solutions with most votes (n,), in random order among equals."""
    chance = torch.rand(votes.shape, device=votes.device, generator=generator)
    return (votes.round(decimals=4) * 1e4 + chance).topk(count).indices
