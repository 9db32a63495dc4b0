"""Plan sequences of skills to a goal or along way-points: MPPI (arXiv 1509.01149) over what a model imagines.

Skills are drawn around a mean sequence, imagined, and averaged with weights exp(-cost / temperature); the first one is
held, and the rest begins the next plan. What is drawn around is our choice: a mean of unit vectors is the shorter the
less they agree, so that noise of one size explores where nothing is decided.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from tensordict import TensorDict
from torch import Tensor
from torch.nn import functional as F

from agents.skills.goals import Waypoints


class Model(Protocol):
    """What plans are imagined in."""

    hold: int

    def imagine(self, timestep: TensorDict, skills: Tensor) -> Tensor:
        """Return places (K, N, n, H, G) after each of the skills (N, n, H, Z), as each of K models sees them."""
        ...


@dataclass(frozen=True)
class PlanConfig:
    horizon: int = 8
    """Skills that a plan holds."""
    samples: int = 128
    iterations: int = 3
    noise: float = 0.5
    temperature: float = 0.1
    """Of the weights, in standard deviations of the samples' costs."""


class Planner:
    """A policy that follows plans."""

    def __init__(
        self,
        act: Callable[[Tensor, Tensor], Tensor],
        model: Model,
        skill_dim: int,
        waypoints: Waypoints,
        config: PlanConfig,
    ) -> None:
        """act: takes states (N, O) and skills (N, Z) to actions."""
        for name in ("horizon", "samples", "iterations"):
            if getattr(config, name) < 1:
                raise ValueError(f"plans need {name} of at least 1, not {getattr(config, name)}")
        self.skilled, self.model, self.skill_dim = act, model, skill_dim
        self.waypoints, self.config = waypoints, config

    def initial_carry(self, num_envs: int) -> TensorDict:
        """Return empty plans (N, H, Z), and the numbers of the first way-points (N,)."""
        device = self.waypoints.places.device
        count = torch.zeros(2, num_envs, dtype=torch.int64, device=device)
        plan = torch.zeros(num_envs, self.config.horizon, self.skill_dim, device=device)
        return TensorDict({"plan": plan, "age": count[0], "number": count[1]}, batch_size=[num_envs])

    @torch.no_grad()
    def act(self, timestep: TensorDict, carry: TensorDict, explore: bool = True) -> tuple[TensorDict, TensorDict]:
        """Answer a timestep (N,); plan anew, in all environments at once, when a skill has been held for its time."""
        first = timestep["is_first"]
        number, _ = self.waypoints.advance(carry["number"].masked_fill(first, 0), timestep["position"])
        age = carry["age"].masked_fill(first, 0)  # (N,)
        due, plan = age % self.model.hold == 0, carry["plan"].masked_fill(first.view(-1, 1, 1), 0.0)
        if due.any():
            went_on = torch.cat([plan[:, 1:], torch.zeros_like(plan[:, :1])], 1)
            begun = torch.where((first | (age == 0)).view(-1, 1, 1), plan, went_on)
            plan = torch.where(due.view(-1, 1, 1), self.planned(timestep, begun, number), plan)
        skill = F.normalize(plan[:, 0], dim=-1)  # (N, Z)
        out = {"action": self.skilled(timestep["state"], skill), "skill": skill}
        after = {"plan": plan, "age": age + 1, "number": number}
        batch = timestep.batch_size
        return TensorDict(out, batch_size=batch), TensorDict(after, batch_size=batch)

    def planned(self, timestep: TensorDict, mean: Tensor, number: Tensor) -> Tensor:
        """Improve mean sequences (N, H, Z) for environments whose way-points are numbers (N,)."""
        c = self.config
        for _ in range(c.iterations):
            noise = torch.randn(len(mean), c.samples, *mean.shape[1:], device=mean.device)
            skills = F.normalize(mean.unsqueeze(1) + c.noise * noise, dim=-1)  # (N, n, H, Z)
            cost = self.cost(self.model.imagine(timestep, skills), number)  # (N, n)
            weight = weights(cost, c.temperature)  # (N, n)
            mean = (weight.view(*weight.shape, 1, 1) * skills).sum(1)  # (N, H, Z)
        return mean

    def cost(self, places: Tensor, number: Tensor) -> Tensor:
        """Return costs (N, n) of places (K, N, n, H, G): the way that is left after each skill, summed.

        What is left is the distance to the present way-point and the way along those after it; the mean over models.
        """
        k, environments, samples, horizon, _ = places.shape
        rest = self.rest().expand(environments, -1)  # (N, W)
        at = number.view(-1, 1, 1).expand(environments, k, samples)  # (N, K, n)
        places, total = places.transpose(0, 1), torch.zeros((), device=places.device)
        for step in range(horizon):
            at, distance = self.waypoints.advance(at, places[:, :, :, step])  # (N, K, n)
            total = total + distance + rest.gather(1, at.flatten(1)).view_as(distance)
        return total.mean(1)

    def rest(self) -> Tensor:
        """Return how long the way is from each way-point to the last, (N or 1, W)."""
        legs = self.waypoints.places.diff(dim=1).norm(dim=-1)  # (N or 1, W - 1)
        left = legs.flip(1).cumsum(1).flip(1)
        return torch.cat([left, torch.zeros_like(self.waypoints.places[:, :1, 0])], 1)


def weights(cost: Tensor, temperature: float) -> Tensor:
    """Return each row's weights (N, n), which sum to 1, of costs (N, n): exp(-cost / temperature), standardised."""
    spread = cost.std(1, correction=0, keepdim=True).clamp(min=1e-6)
    return F.softmax(-cost / (temperature * spread), 1)
