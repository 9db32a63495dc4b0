"""PGA-MAP-Elites (Nilsson and Cully, GECCO 2021): half of the offspring follow the gradient of critics.

Critics and a greedy actor learn by TD3 from what the replay holds; elites are varied by the first critic's gradient,
and the greedy actor is offered to the archive too.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from tensordict import TensorDict
from torch import Tensor

from agents.archive.config import ArchiveConfig
from agents.map_elites.emitters import Emitted, Emitter, Emitters
from agents.map_elites.map_elites import MapElites
from agents.map_elites.policy_gradient import Ascent, Climb
from agents.map_elites.solutions import Perceptrons, perceptrons_of
from agents.map_elites.td3 import TD3, TD3Config, transitions
from agents.map_elites.variation import Genetic, VariationConfig, genetic_of
from agents.replay import ReplayBuffer
from agents.spaces import Spaces


@dataclass(frozen=True)
class PGAMapElitesConfig:
    archive: ArchiveConfig = field(default_factory=ArchiveConfig)
    variation: VariationConfig = field(default_factory=VariationConfig)
    td3: TD3Config = field(default_factory=TD3Config)
    ascent: Ascent = field(default_factory=Ascent)
    hidden: tuple[int, ...] = (128, 128)
    """Hidden units of each layer of a policy."""
    genetic: float = 0.49
    """Share of the offspring made by isotropic and line variation."""
    greedy: float = 0.01
    """Share of the greedy actor, which is offered as it is."""


class PolicyGradient:
    """Learn from the replay, by TD3, what would make policies better, and vary them by it."""

    def __init__(self, genetic: Genetic[Perceptrons], config: PGAMapElitesConfig) -> None:
        self.genetic, self.config = genetic, config
        self.td3 = TD3(genetic.kind, config.td3, genetic.generator)
        self.climb = Climb(genetic.kind, config.ascent, config.td3.batch, genetic.archive.device)

    def see(self, timestep: TensorDict, carry: TensorDict) -> None:
        """Look away: rows come from the replay."""

    def learn(self, replay: ReplayBuffer) -> dict[str, Tensor]:
        """Take one step of TD3 on a batch of the replay; return its metrics, and how far policies were moved."""
        rows, _ = replay.sample(self.config.td3.batch, 2)  # (B, 2)
        batch = transitions(rows)
        metrics = self.td3.learn(batch)
        self.climb.add(batch.inputs)
        return metrics | {"emitter/policy_gradient/change": self.climb.moved}

    def ready(self) -> bool:
        """Say whether there are elites to vary, and states to vary them on."""
        return self.genetic.begun() and self.climb.ready()

    def improve(self, count: int) -> Emitted:
        """Return elites (n, P), varied by the first critic's gradient on states that were played."""
        elites = self.genetic.archive.sample(count, self.genetic.generator)["solution"]  # (n, P)
        return self.genetic.for_none(self.climb(elites, self.td3.value))

    def greedy(self, count: int) -> Emitted:
        """Return the greedy actor (n, P), n times over."""
        return self.genetic.for_none(self.td3.actor.detach().expand(count, -1))

    def state_dict(self) -> dict[str, Any]:
        """Return what TD3 learned, and the states that policies are varied on."""
        return {"td3": self.td3.state_dict(), "climb": self.climb.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a `state_dict`."""
        self.td3.load_state_dict(state_dict["td3"])
        self.climb.load_state_dict(state_dict["climb"])


def pga_map_elites(spaces: Spaces, config: PGAMapElitesConfig, device: torch.device | str = "cpu") -> MapElites:
    """Return MAP-Elites over policies, some of which follow gradients; an update is a step of TD3."""
    genetic = genetic_of(perceptrons_of(spaces, config.hidden), spaces, config, device)
    gradient = PolicyGradient(genetic, config)
    emitters = {
        **genetic.emitters(config.genetic),
        "policy_gradient": Emitter(config.ascent.share, gradient.improve, gradient.ready),
        "greedy": Emitter(config.greedy, gradient.greedy, gradient.ready),
    }
    return MapElites(genetic, Emitters(emitters, device), config.archive, gradient)
