"""What skills are about: phi, a map of places, learned so that each skill z leads somewhere else.

    discovery   r = (phi(s') - phi(s)) . z,   |phi(s') - phi(s)| <= |s' - s|, by a dual variable: as far as it goes
    metra       the same with |phi(s') - phi(s)| <= 1 for neighbours in time (METRA, arXiv 2310.08887)
    lsd         the same with layers of spectral norm 1 (LSD, arXiv 2202.00914)
    diayn       r = ln q(z | s') (DIAYN, arXiv 1802.06070), up to the prior's constant

SLIM's own formula could not be read: `discovery` is our choice. A place s is what the task signals as `position`, the
whole observation, or the latent of a world model that learns beside SLIM.

A latent moves beneath phi as its model learns. No place is therefore kept: at every update the present model reads the
rows anew, both ends of a step alike, phi goes on learning from what it says, without a gradient into the model, and
rewards are of the present phi. PPO's ratio holds neither, so that its update stays as valid as with any learned reward,
and critics lag by what has changed since their last targets. What is not given is what a distance means: |s' - s| is
the model's, in units that are averages over all of training, and may be long where nothing that matters has changed.
`metra`, which counts time instead, does not ask for it.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from tensordict import TensorDict
from torch import Tensor, nn
from torch.nn import functional as F

from agents.normalize import RunningNormalizer
from agents.optimization import descend
from world_models.bounds import spectrally_normed
from world_models.nets import mlp

LEAST = 0.01  # of the deviation that places are divided by: a centimetre for positions, our choice
TINY = 1e-6  # of a squared distance, in deviations
LEAST_STD = 0.1


@dataclass(frozen=True)
class DiscoveryConfig:
    """Of phi and its constraint; the slack and the first lambda are METRA's, the rest our choice."""

    reads: Literal["position", "state", "latent"] = "position"
    """What phi sees: where the task says its object is, the whole observation, or in together InfoPower's latent."""
    hidden: int = 128
    steps: int = 16
    """Gradient steps an update."""
    batch: int = 1024
    lr: float = 1e-3
    slack: float = 1e-3
    """By how much the constraint counts at most where it holds."""
    dual_init: float = 30.0
    dual_lr: float = 1e-3


class Places(NamedTuple):
    """What phi sees of rows (N, T): `read` takes them to places (N, T, K), after `past` rows that it reads before."""

    size: int
    read: Callable[[TensorDict], Tensor]
    past: int = 0


def places_of(name: str, shapes: Mapping[str, tuple[int, ...]], latent: Places | None) -> Places:
    """Return what phi sees by the name of a key of rows, or `latent`; raise ValueError if there is none."""
    if name != "latent":
        return Places(shapes[name][0], lambda rows: rows[name])
    if latent is None:
        raise ValueError("--agent.discovery.reads latent needs InfoPower beside SLIM, in together: or position, state")
    return latent


class Phi(nn.Module):
    """A perceptron of places (..., K) as codes (..., Z), in units of the places' spread, the same for all axes."""

    def __init__(self, place_dim: int, outputs: int, hidden: int) -> None:
        super().__init__()
        self.normalizer = RunningNormalizer(place_dim)
        self.net = mlp(place_dim, outputs, hidden)

    def forward(self, place: Tensor) -> Tensor:
        return self.net((place - self.normalizer.mean) / self.unit)

    @property
    def unit(self) -> Tensor:
        """The places' spread along an axis, 0-dim."""
        return self.normalizer.variance.mean().sqrt().clamp(min=LEAST)

    def along(self, before: Tensor, after: Tensor, skill: Tensor) -> Tensor:
        """Return (phi(s') - phi(s)) . z: (...)."""
        return ((self(after) - self(before)) * skill).sum(-1)

    def toward(self, place: Tensor, goal: Tensor) -> Tensor:
        """Return unit(phi(g) - phi(s)): the skills (..., Z) that lead from places to goals."""
        return F.normalize(self(goal) - self(place), dim=-1)


class ConstrainedPhi(nn.Module):
    """phi that goes as far along z as a constraint on its steps lets it, as in METRA."""

    def __init__(self, phi: Phi, config: DiscoveryConfig, in_time: bool) -> None:
        """in_time: whether steps of phi are bounded by one step of time, not by the distance gone."""
        super().__init__()
        self.phi, self.config, self.in_time = phi, config, in_time
        self.log_dual = nn.Parameter(torch.tensor(math.log(config.dual_init)))

    def losses(self, before: Tensor, after: Tensor, skill: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        step = self.phi(after) - self.phi(before)  # (B, Z)
        moved = ((after - before) / self.phi.unit).square().sum(-1)  # (B,)
        mean = moved.mean() + TINY
        # a step of time is as long as the mean step, so that phi need not grow before it counts: our choice
        stretch = step.square().sum(-1) / (mean if self.in_time else moved + TINY)  # (B,) 1 on the bound
        gain = (step * skill).sum(-1) / mean.sqrt()  # (B,)
        slack = (1 - stretch).clamp(max=self.config.slack)  # (B,)
        metrics = {"discovery/gain": gain, "discovery/stretch": stretch, "discovery/slack": slack}
        dual = self.log_dual.detach().exp()
        return -gain - dual * slack, {name: value.detach().mean() for name, value in metrics.items()}

    def dual_loss(self, metrics: dict[str, Tensor]) -> Tensor:
        """Return what log lambda descends: it falls while the constraint holds, and grows while it does not."""
        return self.log_dual * metrics["discovery/slack"]

    def reward(self, before: Tensor, after: Tensor, skill: Tensor) -> Tensor:
        return self.phi.along(before, after, skill)

    def toward(self, place: Tensor, goal: Tensor) -> Tensor:
        return self.phi.toward(place, goal)


class Spectral(nn.Module):
    """phi whose layers have spectral norm 1, so that it is 1-Lipschitz whatever it learns (LSD)."""

    def __init__(self, phi: Phi) -> None:
        super().__init__()
        self.phi = phi
        spectrally_normed(phi.net)

    def losses(self, before: Tensor, after: Tensor, skill: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        mean = ((after - before) / self.phi.unit).square().sum(-1).mean() + TINY
        gain = self.phi.along(before, after, skill) / mean.sqrt()  # (B,)
        return -gain, {"discovery/gain": gain.detach().mean()}

    def reward(self, before: Tensor, after: Tensor, skill: Tensor) -> Tensor:
        return self.phi.along(before, after, skill)

    def toward(self, place: Tensor, goal: Tensor) -> Tensor:
        return self.phi.toward(place, goal)


class Discriminator(nn.Module):
    """q(z | s'): a normal density around phi(s'), whose deviations are learned with it (DIAYN)."""

    def __init__(self, phi: Phi) -> None:
        super().__init__()
        self.phi = phi

    def evidence(self, place: Tensor, skill: Tensor) -> Tensor:
        """Return ln q(z | s) (...), in nats."""
        mean, std = self.phi(place).chunk(2, -1)
        std = F.softplus(std) + LEAST_STD
        log_density = -0.5 * ((skill - mean) / std).square() - std.log() - 0.5 * math.log(2 * math.pi)  # (..., Z)
        return log_density.sum(-1)

    def losses(self, before: Tensor, after: Tensor, skill: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        evidence = self.evidence(after, skill)  # (B,)
        return -evidence, {"discovery/evidence": evidence.detach().mean()}

    def reward(self, before: Tensor, after: Tensor, skill: Tensor) -> Tensor:
        return self.evidence(after, skill)

    def toward(self, place: Tensor, goal: Tensor) -> Tensor:
        return F.normalize(self.phi(goal).chunk(2, -1)[0], dim=-1)


class Discovery:
    """Learn phi from steps, by the objective of a name."""

    def __init__(
        self, name: str, place_dim: int, skill_dim: int, config: DiscoveryConfig, device: torch.device | str
    ) -> None:
        self.config = config
        phi = Phi(place_dim, skill_dim * (2 if name == "diayn" else 1), config.hidden)
        kinds: dict[str, Callable[[], ConstrainedPhi | Spectral | Discriminator]] = {
            "discovery": lambda: ConstrainedPhi(phi, config, in_time=False),
            "metra": lambda: ConstrainedPhi(phi, config, in_time=True),
            "lsd": lambda: Spectral(phi),
            "diayn": lambda: Discriminator(phi),
        }
        self.objective = kinds[name]().to(device).eval()
        self.phi = phi
        self.primal = list(phi.net.parameters())
        self.optimizers = {"phi": torch.optim.Adam(self.primal, config.lr, fused=True)}
        if isinstance(self.objective, ConstrainedPhi):
            self.optimizers["dual"] = torch.optim.Adam([self.objective.log_dual], config.dual_lr)

    def learn(self, before: Tensor, after: Tensor, skill: Tensor) -> dict[str, Tensor]:
        """Take the update's gradient steps on steps (K, ...) drawn at random; return the last one's metrics."""
        objective = self.objective.train()
        metrics: dict[str, Tensor] = {}
        for _ in range(self.config.steps):
            drawn = torch.randint(len(before), (self.config.batch,), device=before.device)
            loss, metrics = objective.losses(before[drawn], after[drawn], skill[drawn])
            metrics["loss/discovery"] = loss.detach().mean()
            descend(self.optimizers["phi"], loss.mean(), self.primal)
            if isinstance(objective, ConstrainedPhi):
                descend(self.optimizers["dual"], objective.dual_loss(metrics), [objective.log_dual])
                metrics["discovery/dual"] = objective.log_dual.detach().exp()
        objective.eval()
        return metrics

    def see(self, place: Tensor) -> None:
        """Take places (K, ...) into the units that phi measures in."""
        self.phi.normalizer.update(place)

    @torch.no_grad()
    def reward(self, before: Tensor, after: Tensor, skill: Tensor) -> Tensor:
        """Return the reward (...) of steps."""
        return self.objective.reward(before, after, skill)

    def state_dict(self) -> dict[str, Any]:
        """Return phi, lambda and their optimisers."""
        optimizers = {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()}
        return {"objective": self.objective.state_dict(), "optimizers": optimizers}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a `state_dict`."""
        self.objective.load_state_dict(state_dict["objective"])
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state_dict["optimizers"][name])
