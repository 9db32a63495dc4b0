"""What solutions would do, as an ensemble of models imagines it: which offspring are worth a real episode.

As in Dynamics-Aware Quality-Diversity (arXiv 2109.08522), offspring are played in learned dynamics first. There an
imagined archive decides which are evaluated; here each model of the ensemble votes whether the real archive would keep
a solution, and those with most votes are evaluated (our choice). A solution of which the models disagree so comes
before one that all of them reject, and nothing enters the archive on a model's word.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from agents.archive import Archive
from agents.emitters import Emitted, Emitters
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


class Screening:
    """Emitters of which more is asked than is played."""

    def __init__(
        self,
        emitters: Emitters,
        offspring: int,
        ready: Callable[[], bool],
        votes: Callable[[Tensor], Tensor],
        generator: torch.Generator,
    ) -> None:
        """ready: whether the models can be asked. votes: of solutions (n, P), (n,)."""
        self.emitters, self.offspring, self.ready = emitters, offspring, ready
        self.votes, self.generator = votes, generator
        self.hopes = torch.zeros(2, device=generator.device)  # mean votes: of all that was imagined, of who was elected

    def emit(self, count: int) -> tuple[Emitted, Tensor]:
        """Return the solutions (count, P) that most models vote for, and the number of the emitter of each (count,)."""
        if self.offspring == 1 or not self.ready():
            return self.emitters.emit(count)
        made, emitter = self.emitters.emit(count * self.offspring)
        shares = self.votes(made.solution)  # (count * offspring,)
        chosen = elected(shares, count, self.generator)
        self.hopes = torch.stack([shares.mean(), shares[chosen].mean()])
        return Emitted(made.solution[chosen], made.target[chosen]), emitter[chosen]

    def evaluated(self, emitter: Tensor, kept: Tensor) -> None:
        """Tell the emitters (n,) what became of their solutions."""
        self.emitters.evaluated(emitter, kept)

    def metrics(self) -> dict[str, Tensor]:
        """Return the emitters' figures, and how many models voted for what was imagined and for what was elected."""
        return self.emitters.metrics() | {"imagined/votes": self.hopes[0], "imagined/votes_elected": self.hopes[1]}

    def state_dict(self) -> dict[str, Any]:
        return {"emitters": self.emitters.state_dict(), "hopes": self.hopes.cpu()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.emitters.load_state_dict(state_dict["emitters"])
        self.hopes = state_dict["hopes"].to(self.hopes.device)
