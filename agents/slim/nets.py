"""What a skill learner acts and judges by: a policy, and an ensemble of critics, one for each reward."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from world_models.nets import SideBySide, initialize


class SkillNets(nn.Module):
    """Map what is observed and the skill, (K, I), to a normal policy's mean (K, A) and to R values (K, R).

    The first `shared` hidden layers serve both; of the others policy and critics have their own.
    """

    def __init__(
        self, inputs: int, actions: int, critics: int, hidden: Sequence[int], shared: int, std: float = 1.0
    ) -> None:
        """std: the policy's first deviation, of every action in every state."""
        super().__init__()
        self.trunk = layers([inputs, *hidden[:shared]])
        feat = [inputs, *hidden][shared]
        own = hidden[shared:]
        last = nn.Linear([feat, *own][-1], actions)
        self.policy = nn.Sequential(*layers([feat, *own]), last)
        self.critics = SideBySide(critics, [feat, *own, 1])
        self.log_std = nn.Parameter(torch.full((actions,), math.log(std)))
        initialize(self)
        with torch.no_grad():
            last.weight.mul_(0.01)  # actions that do not yet depend on the skill: our choice
            self.critics.weights[-1].zero_()  # a reward that never comes has no advantages then, and no noise of them

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        feat = self.trunk(inputs)  # (K, F)
        return self.policy(feat), self.critics(feat).squeeze(-1).T


def layers(sizes: Sequence[int]) -> nn.Sequential:
    """Build hidden ELU layers."""
    return nn.Sequential(*(m for i, o in pairwise(sizes) for m in (nn.Linear(i, o), nn.ELU(inplace=True))))
