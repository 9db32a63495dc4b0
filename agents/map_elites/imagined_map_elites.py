"""MAP-Elites that imagines offspring before it plays them (after Dynamics-Aware QD, arXiv 2109.08522).

An ensemble of one-step models learns from all that is in the replay, whoever played it. `offspring` times as many
variations are made as are played: those of which most models say that the archive would keep them, whichever emitters
they are of. Only real episodes enter the archive.
"""

from dataclasses import dataclass, field

import torch

from agents.archive.config import ArchiveConfig
from agents.map_elites.foresight import EnsembleForesight
from agents.map_elites.imagined import screened
from agents.map_elites.map_elites import MapElites, MapElitesConfig, map_elites
from agents.map_elites.variation import VariationConfig
from agents.spaces import Spaces
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


def imagined_map_elites(
    spaces: Spaces, config: ImaginedMapElitesConfig, device: torch.device | str = "cpu"
) -> MapElites:
    """Return MAP-Elites over policies that models vote for; an update is a step of the models."""
    for name in ("offspring", "learned"):
        if getattr(config, name) < 1:
            raise ValueError(f"--agent.{name} must be at least 1, not {getattr(config, name)}")
    agent = map_elites(spaces, MapElitesConfig(config.archive, config.variation, config.hidden), device)
    foresight = EnsembleForesight(spaces, config.model, device)
    return screened(agent, foresight, config.offspring, config.learned, spaces)
