"""Solutions that are sequences of skills: an archive of them is an archive of skills."""

from typing import Any, Protocol

import torch
from torch import Tensor

from agents.skills.env import direction
from agents.slim.priors import drawn_skills


class SkillPolicy(Protocol):
    """A policy that depends on a skill."""

    def __call__(self, state: Tensor, skill: Tensor) -> Tensor:
        """Return the actions (N, A) by which skills (N, Z) answer states (N, O)."""
        ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any: ...


class SkillSequences:
    """Sequences of K skills, each held for an equal share of an episode.

    A solution (P,) holds the K skills of Z numbers one after the other; only their directions count.
    """

    def __init__(self, skills: SkillPolicy, skill_dim: int, length: int, episode_length: int) -> None:
        """length: K. episode_length: actions of an episode; later ones are the last skill's."""
        self.skills, self.skill_dim, self.length, self.episode_length = skills, skill_dim, length, episode_length
        self.solution_dim = length * skill_dim  # P

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Return sequences (n, P) of skills drawn one by one from the prior under which they were learned."""
        like = torch.empty(count, self.length, self.skill_dim, device=generator.device)
        return drawn_skills(like, generator).flatten(1)

    def act(self, solutions: Tensor, observation: Tensor, age: Tensor) -> Tensor:
        """Let each of N solutions (N, P) answer an observation (N, O) by the skill whose turn it is: (N, A)."""
        sequence = solutions.unflatten(1, (self.length, self.skill_dim))  # (N, K, Z)
        turn = (age * self.length // self.episode_length).clamp(max=self.length - 1)  # (N,)
        skill = sequence[torch.arange(len(turn), device=turn.device), turn]  # (N, Z)
        return self.skills(observation, direction(skill))

    def state_dict(self) -> dict[str, Any]:
        """Return the skills' policy: what an archive holds means nothing without it."""
        return self.skills.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Play by the policy of a `state_dict`, whatever a library holds by now; ValueError if it has another shape."""
        try:
            self.skills.load_state_dict(state_dict)
        except RuntimeError as error:
            raise ValueError("the library's networks have another shape than those that this run began with") from error
