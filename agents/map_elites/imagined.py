"""What solutions would do, as models imagine it: which offspring are worth a real episode.

As in Dynamics-Aware Quality-Diversity (arXiv 2109.08522), offspring are played in learned dynamics first. There an
imagined archive decides which are evaluated; here each model of an ensemble votes whether the real archive would keep a
solution, and those with most votes are evaluated (our choice). A solution of which the models disagree so comes before
one that all of them reject, and nothing enters the archive on a model's word.
"""

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from agents.archive import Archive
from agents.map_elites.emitters import Emitted, Emitting
from agents.map_elites.map_elites import Learner, MapElites
from agents.map_elites.solutions import Perceptrons
from agents.spaces import Spaces


class Foresight(Protocol):
    """K models of what actions lead to, or K draws of one; latents are whatever they need to go on."""

    def begin(self, count: int, generator: torch.Generator) -> tuple[Any, Tensor, Tensor]:
        """Draw where n real episodes began: latents, states (1, n, O), and what the measures read there (1, n, M)."""
        ...

    def step(self, latent: Any, action: Tensor) -> tuple[Any, Tensor, Tensor, Tensor, Tensor]:
        """Take actions (K, n, A), or the same in all models, (1, n, A), to where they lead.

        Returns latents, states (K, n, O), rewards (K, n), readings (K, n, M) and where the episode ends early (K, n).
        """
        ...


class Foreseeing(Foresight, Learner, Protocol):
    """Foresight that is learned."""

    updates: int


@torch.no_grad()
def imagine(
    foresight: Foresight,
    perceptrons: Perceptrons,
    solutions: Tensor,
    steps: int,
    kinds: tuple[str, ...],
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Play solutions (n, P) for an episode in each of K models: returns (K, n) and measures (K, n, M).

    Each begins in a state of its own. `kinds` says how each measure is made of the readings. What comes after an early
    end does not count, as in a real episode.
    """
    latent, state, first = foresight.begin(len(solutions), generator)  # (1, n, O), (1, n, M)
    total, most, last = torch.zeros((), device=state.device), first, first
    summed, count = torch.zeros_like(first), torch.zeros_like(first)
    running = torch.ones_like(first[..., 0], dtype=torch.bool)  # (1, n), then (K, n)
    for _ in range(steps):
        action = perceptrons(solutions, state.transpose(0, 1)).transpose(0, 1)  # (K, n, A)
        latent, state, reward, readings, ended = foresight.step(latent, action)
        total, rows = total + torch.where(running, reward, 0.0), running.unsqueeze(-1)  # (K, n), (K, n, 1)
        summed, count = summed + torch.where(rows, readings, 0.0), count + rows
        most = torch.where(rows, torch.maximum(most, readings), most)
        last = torch.where(rows, readings, last)
        running = running & ~ended
    made = {"mean": summed / count, "maximum": most, "change": last - first}  # each (K, n, M)
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
        emitters: Emitting,
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
        """Return the emitters' figures, and what share of models voted for what was imagined, and for the elected."""
        return self.emitters.metrics() | {"imagined/votes": self.hopes[0], "imagined/votes_elected": self.hopes[1]}

    def state_dict(self) -> dict[str, Any]:
        return {"emitters": self.emitters.state_dict(), "hopes": self.hopes.cpu()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.emitters.load_state_dict(state_dict["emitters"])
        self.hopes = state_dict["hopes"].to(self.hopes.device)


def screened(agent: MapElites, foresight: Foreseeing, offspring: int, learned: int, spaces: Spaces) -> MapElites:
    """Let MAP-Elites over policies imagine `offspring` solutions for each that it plays, after `learned` updates."""
    policies, archive, generator = agent.kind, agent.archive, agent.genetic.generator
    assert isinstance(policies, Perceptrons), policies

    def ready() -> bool:
        return agent.genetic.begun() and foresight.updates >= learned

    def voted(solutions: Tensor) -> Tensor:
        outcome = imagine(foresight, policies, solutions, spaces.episode_length, spaces.kinds, generator)
        return votes(archive, *outcome)

    agent.emitters = Screening(agent.emitters, offspring, ready, voted, generator)
    agent.learners = (*agent.learners, foresight)
    return agent
