"""MAP-Elites over skills: an archive of sequences of skills that differ in an episode's measures.

The skills are a library's, or those of a learner that goes on learning. What an elite of these did it may not do again
once the policy beneath it has moved: half of the episodes play elites anew (our choice), so that means follow, cells
change with them, and an elite that does no longer what it did makes room. Means still lag behind, as they are over all
evaluations; figures for a report are those of `assess`, which plays every elite by the policy as it is now.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from tensordict import TensorDict
from torch import Tensor

from agents.archive.config import ArchiveConfig
from agents.map_elites.emitters import Emitters
from agents.map_elites.map_elites import MapElites
from agents.map_elites.skill_solutions import SkillPolicy, SkillSequences
from agents.map_elites.variation import VariationConfig, genetic_of
from agents.skills import SkillLibrary
from agents.slim import Slim
from agents.spaces import Spaces


@dataclass(frozen=True)
class SkillMapElitesConfig:
    library: str = ""
    """A run of slim with a library, or the folder of one: whose skills are played. It must stay there."""
    skills: int = 4
    """Skills of a solution, each held for an equal share of an episode."""
    archive: ArchiveConfig = field(default_factory=ArchiveConfig)
    # of vectors that begin with length 1, not of parameters, and may grow: the longer, the less they turn. Our choice
    variation: VariationConfig = field(default_factory=lambda: VariationConfig(iso=0.2, line=0.2))


@dataclass(frozen=True)
class LiveSkillsConfig:
    skills: int = 4
    """Skills of a solution, each held for an equal share of an episode."""
    archive: ArchiveConfig = field(default_factory=lambda: ArchiveConfig(reevaluate=0.5))
    variation: VariationConfig = field(default_factory=lambda: VariationConfig(iso=0.2, line=0.2))


class Live:
    """The policy of a learner as it is now, not a copy: the learner saves it."""

    def __init__(self, learner: Slim) -> None:
        self.learner = learner

    def __call__(self, state: Tensor, skill: Tensor) -> Tensor:
        """Return the actions (N, A) by which skills (N, Z) answer states (N, O), without noise."""
        return self.learner.answer(TensorDict({"state": state}, batch_size=state.shape[:-1]), skill)

    def state_dict(self) -> dict[str, Any]:
        """Return nothing."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take nothing."""


def skill_map_elites(spaces: Spaces, config: SkillMapElitesConfig, device: torch.device | str = "cpu") -> MapElites:
    """Return MAP-Elites over sequences of a library's skills.

    Raises ValueError or OSError, in one line, for a library that is missing, damaged or of other environments.
    """
    if not config.library:
        raise ValueError("--agent.library: name a run of slim with a library, or its folder, whose skills are played")
    try:
        library = SkillLibrary.load(config.library, device)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"the skills to play, --agent.library {config.library}, are missing: {error}"
        ) from error
    library.suit(spaces.task, spaces.action_repeat, spaces.observations, spaces.action_dim)
    return over_skills(library.skills, library.config.skill_dim, spaces, config, device)


def live_skill_map_elites(
    spaces: Spaces, config: LiveSkillsConfig, learner: Slim, device: torch.device | str = "cpu"
) -> MapElites:
    """Return MAP-Elites over sequences of the skills of a learner that goes on learning."""
    return over_skills(Live(learner), learner.config.skill_dim, spaces, config, device)


def over_skills(
    skills: SkillPolicy,
    skill_dim: int,
    spaces: Spaces,
    config: SkillMapElitesConfig | LiveSkillsConfig,
    device: torch.device | str,
) -> MapElites:
    """Return MAP-Elites over sequences of skills of Z numbers; raise ValueError, in one line, for a length of none."""
    if not 1 <= config.skills <= spaces.episode_length:
        raise ValueError(
            f"--agent.skills must be from 1 to the {spaces.episode_length} actions of an episode, not {config.skills}"
        )
    kind = SkillSequences(skills, skill_dim, config.skills, spaces.episode_length)
    genetic = genetic_of(kind, spaces, config, device)
    return MapElites(genetic, Emitters(genetic.emitters(), device), config.archive)
