"""MAP-Elites that imagines offspring before it plays them (after Dynamics-Aware QD, arXiv 2109.08522).

An ensemble of one-step models learns from all that is in the replay, whoever played it. Of every `offspring` variations
one is played: that of which most models say that the archive would keep it. Only real episodes enter the archive.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tensordict import TensorDict
from torch import Tensor

from agents.archive_config import ArchiveConfig, make_archive
from agents.emitters import Emitters
from agents.evaluation import Environments
from agents.foresight import Foresight
from agents.generators import own_generator
from agents.illumination import EXTRA, Illumination
from agents.imagined import Screening, imagine, votes
from agents.map_elites import Genetic, begun_after, perceptrons_of
from agents.replay import ReplayBuffer
from agents.spaces import Spaces
from agents.variation import VariationConfig
from world_models.ensemble import EnsembleConfig


@dataclass(frozen=True)
class ImaginedMapElitesConfig:
    archive: ArchiveConfig = field(default_factory=ArchiveConfig)
    variation: VariationConfig = field(default_factory=VariationConfig)
    model: EnsembleConfig = field(default_factory=EnsembleConfig)
    offspring: int = 8
    """Solutions that are imagined for each that is played; 1 imagines none."""
    learned: int = 500
    """Updates of the models before they are asked."""
    hidden: tuple[int, ...] = (128, 128)
    """Hidden units of each layer of a policy."""


class ImaginedMapElites:
    """Play solutions that models vote for, keep elites; an update is a step of the models."""

    def __init__(self, spaces: Spaces, config: ImaginedMapElitesConfig, device: torch.device | str = "cpu") -> None:
        for name in ("offspring", "learned"):
            if getattr(config, name) < 1:
                raise ValueError(f"--agent.{name} must be at least 1, not {getattr(config, name)}")
        self.spaces, self.generator = spaces, own_generator(device)
        self.perceptrons = perceptrons_of(spaces, config.hidden)
        self.archive = make_archive(config.archive, spaces, self.perceptrons.solution_dim, EXTRA, device)
        genetic = Genetic(self.perceptrons, self.archive, config.variation, self.generator)
        self.foresight = Foresight(spaces, config.model, device)
        begun = begun_after(self.archive, config.variation.initial)
        self.screening = Screening(
            Emitters(genetic.emitters(), device),
            config.offspring,
            lambda: begun() and self.foresight.updates >= config.learned,
            self.votes,
            self.generator,
        )
        self.illumination = Illumination(self.perceptrons, self.archive, self.screening, config.archive)

    def votes(self, solutions: Tensor) -> Tensor:
        """Return the share of models that would have the archive keep solutions (n, P): (n,)."""
        begun, step = self.foresight.begun(len(solutions), self.generator), self.foresight.model.step
        outcome = imagine(step, self.perceptrons, solutions, begun, self.spaces.episode_length, self.spaces.kinds)
        return votes(self.archive, *outcome)

    def initial_carry(self, num_envs: int) -> TensorDict:
        """Return what each environment plays (N,), before any plays."""
        return self.illumination.initial_carry(num_envs)

    def act(self, timestep: TensorDict, carry: TensorDict, explore: bool = True) -> tuple[TensorDict, TensorDict]:
        """Answer a timestep (N,): a solution an environment, or the best elite everywhere."""
        if explore:
            self.foresight.see(timestep)
        return self.illumination.act(timestep, carry, explore)

    def update(self, replay: ReplayBuffer) -> dict[str, Tensor]:
        """Take one step of the models on rows of the replay; return their loss and the archive's figures."""
        return self.foresight.learn(replay) | self.illumination.metrics()

    def assess(self, envs: Environments) -> dict[str, Tensor]:
        """Return the figures of all elites, evaluated anew."""
        return self.illumination.assess(envs)

    def export(self, folder: Path) -> None:
        """Write the archive into a run's folder."""
        self.illumination.export(folder)

    def state_dict(self) -> dict[str, Any]:
        """Return the archive, its history, the models and the random generator."""
        return {
            "illumination": self.illumination.state_dict(),
            "foresight": self.foresight.state_dict(),
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a `state_dict`."""
        self.illumination.load_state_dict(state_dict["illumination"])
        self.foresight.load_state_dict(state_dict["foresight"])
        self.generator.set_state(state_dict["generator"])
