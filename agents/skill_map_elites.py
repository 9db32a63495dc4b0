"""MAP-Elites over a library of skills: an archive of sequences of skills that differ in an episode's measures."""

from dataclasses import dataclass, field

import torch

from agents.archive_config import ArchiveConfig
from agents.emitters import Emitters
from agents.map_elites import MapElites
from agents.skill_solutions import SkillSequences
from agents.skills import SkillLibrary
from agents.spaces import Spaces
from agents.variation import VariationConfig, genetic_of


@dataclass(frozen=True)
class SkillMapElitesConfig:
    library: str = ""
    """A run of slim with a library, or the folder of one: whose skills are played. It must stay there."""
    skills: int = 4
    """Skills of a solution, each held for an equal share of an episode."""
    archive: ArchiveConfig = field(default_factory=ArchiveConfig)
    # deviations of unit vectors, not of parameters: our choice
    variation: VariationConfig = field(default_factory=lambda: VariationConfig(iso=0.2, line=0.2))


def skill_map_elites(spaces: Spaces, config: SkillMapElitesConfig, device: torch.device | str = "cpu") -> MapElites:
    """Return MAP-Elites over sequences of a library's skills.

    Raises ValueError or OSError, in one line, for a library that is missing, damaged or of other environments.
    """
    if not config.library:
        raise ValueError("--agent.library: name a run of slim with a library, or its folder, whose skills are played")
    if not 1 <= config.skills <= spaces.episode_length:
        raise ValueError(
            f"--agent.skills must be from 1 to the {spaces.episode_length} actions of an episode, not {config.skills}"
        )
    try:
        library = SkillLibrary.load(config.library, device)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"the skills to play, --agent.library {config.library}, are missing: {error}"
        ) from error
    library.suit(spaces.task, spaces.action_repeat, spaces.observations, spaces.action_dim)
    kind = SkillSequences(library.skills, library.config.skill_dim, config.skills, spaces.episode_length)
    genetic = genetic_of(kind, spaces, config, device)
    return MapElites(genetic, Emitters(genetic.emitters(), device), config.archive)
