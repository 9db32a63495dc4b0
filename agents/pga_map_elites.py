"""PGA-MAP-Elites (Nilsson and Cully, GECCO 2021): half of the offspring follow the gradient of critics.

Critics and a greedy actor learn by TD3 from all that was ever played; elites are varied by the first critic's gradient,
and the greedy actor is offered to the archive too.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tensordict import TensorDict
from torch import Tensor

from agents.archive_config import ArchiveConfig, make_archive
from agents.emitters import Emitted, Emitter, Emitters
from agents.evaluation import Environments
from agents.generators import own_generator
from agents.illumination import EXTRA, Illumination
from agents.map_elites import Genetic, begun_after, perceptrons_of
from agents.policy_gradient import Recent, ascend
from agents.replay import ReplayBuffer
from agents.spaces import Spaces
from agents.td3 import TD3, TD3Config, transitions
from agents.variation import VariationConfig


@dataclass(frozen=True)
class Ascent:
    """How policies are varied by gradients."""

    share: float = 0.5
    """Share of the offspring, beside the others' shares."""
    steps: int = 10
    """Gradient steps of a policy."""
    lr: float = 1e-3
    change: float = 0.1
    """How far a policy may move, as a share of the length of its parameters."""


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


class PGAMapElites:
    """Play solutions, keep elites, and learn from the replay what would make them better; an update is a TD3 step."""

    def __init__(self, spaces: Spaces, config: PGAMapElitesConfig, device: torch.device | str = "cpu") -> None:
        check_ascent(config.ascent, config.td3)
        self.config, self.generator = config, own_generator(device)
        self.perceptrons = perceptrons_of(spaces, config.hidden)
        self.archive = make_archive(config.archive, spaces, self.perceptrons.solution_dim, EXTRA, device)
        self.td3 = TD3(self.perceptrons, config.td3, self.generator)
        self.recent = Recent(config.ascent.steps, config.td3.batch, spaces.observations["state"], device)
        self.moved = torch.zeros((), device=device)  # by the last gradients, as a share of parameters' length
        self.genetic = Genetic(self.perceptrons, self.archive, config.variation, self.generator)
        begun = begun_after(self.archive, config.variation.initial)
        emitters = {
            **self.genetic.emitters(config.genetic),
            "policy_gradient": Emitter(config.ascent.share, self.climb, lambda: begun() and self.recent.full()),
            "greedy": Emitter(config.greedy, self.greedy, lambda: begun() and self.recent.full()),
        }
        self.illumination = Illumination(self.perceptrons, self.archive, Emitters(emitters, device), config.archive)

    def initial_carry(self, num_envs: int) -> TensorDict:
        """Return what each environment plays (N,), before any plays."""
        return self.illumination.initial_carry(num_envs)

    def act(self, timestep: TensorDict, carry: TensorDict, explore: bool = True) -> tuple[TensorDict, TensorDict]:
        """Answer a timestep (N,): a solution an environment, or the best elite everywhere."""
        return self.illumination.act(timestep, carry, explore)

    def climb(self, count: int) -> Emitted:
        """Return elites (n, P), varied by the first critic's gradient on states that were played."""
        ascent, elites = self.config.ascent, self.archive.sample(count, self.generator)["solution"]
        found = ascend(self.perceptrons, elites, self.recent.seen, self.td3.value, ascent.lr, ascent.change)
        self.moved = found[1].mean()
        return self.genetic.for_none(found[0])

    def greedy(self, count: int) -> Emitted:
        """Return the greedy actor (n, P), n times over."""
        return self.genetic.for_none(self.td3.actor.detach().expand(count, -1))

    def update(self, replay: ReplayBuffer) -> dict[str, Tensor]:
        """Take one step of TD3 on a batch of the replay; return its metrics and the archive's figures."""
        rows, _ = replay.sample(self.config.td3.batch, 2)  # (B, 2)
        batch = transitions(rows)
        metrics = self.td3.learn(batch)
        self.recent.add(batch.inputs)
        return metrics | self.illumination.metrics() | {"emitter/policy_gradient/change": self.moved}

    def assess(self, envs: Environments) -> dict[str, Tensor]:
        """Return the figures of all elites, evaluated anew."""
        return self.illumination.assess(envs)

    def export(self, folder: Path) -> None:
        """Write the archive into a run's folder."""
        self.illumination.export(folder)

    def state_dict(self) -> dict[str, Any]:
        """Return the archive, its history, what TD3 learned, the states that policies are varied on, the generator."""
        return {
            "illumination": self.illumination.state_dict(),
            "td3": self.td3.state_dict(),
            "recent": self.recent.state_dict(),
            "moved": self.moved,
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a `state_dict`."""
        self.illumination.load_state_dict(state_dict["illumination"])
        self.td3.load_state_dict(state_dict["td3"])
        self.recent.load_state_dict(state_dict["recent"])
        self.moved = state_dict["moved"].to(self.moved.device)
        self.generator.set_state(state_dict["generator"])


def check_ascent(ascent: Ascent, td3: TD3Config) -> None:
    """Raise ValueError, in one line, for sizes that make no sense."""
    for name, value in {"ascent.steps": ascent.steps, "td3.batch": td3.batch, "td3.delay": td3.delay}.items():
        if value < 1:
            raise ValueError(f"--agent.{name} must be at least 1, not {value}")
    for name, number in {"ascent.lr": ascent.lr, "ascent.change": ascent.change}.items():
        if not number > 0:
            raise ValueError(f"--agent.{name} must be above 0, not {number}")
