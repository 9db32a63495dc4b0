"""Where imagined episodes end, in tasks that can end one early: DreamerV2's discount predictor (arXiv 2010.02193).

    gamma_k = gamma (1 - q(end | z_{k+1})),   w_k = prod_{j<k} (1 - q(end | z_{j+1})),

with w_k the weight of imagined step k in the losses of actor and critic: without gamma, for a task that never ends to
weigh all steps alike (our choice). Rewards are then counted from 0, not from their mean (our choice). Every objective
shares it, as it shares the reward head; without it nothing tells an agent that is paid for each step to make them last.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from world_models.nets import mlp


class Continuation(nn.Module):
    """The probability that no episode has ended at a state, from its features."""

    def __init__(self, feat: int, hidden: int) -> None:
        super().__init__()
        self.head = mlp(feat, 1, hidden)

    def forward(self, feat: Tensor) -> Tensor:
        """Return 1 - q(end | z) (...) of features (..., F)."""
        return self.head(feat).squeeze(-1).sigmoid()

    def loss(self, feat: Tensor, is_terminal: Tensor) -> Tensor:
        """Return -ln q of whether an episode ended (...) at features (..., F), in nats."""
        going_on = (~is_terminal).float()
        return F.binary_cross_entropy_with_logits(self.head(feat).squeeze(-1), going_on, reduction="none")


def reached(going_on: Tensor) -> Tensor:
    """Return the probability (H, N) that step k is taken, of those (H, N) that the states it leads to go on."""
    return torch.cat([torch.ones_like(going_on[:1]), going_on[:-1].cumprod(0)])


def beginnings(inside: Tensor, is_terminal: Tensor) -> Tensor:
    """Return the weights (K,) with which rows (B, T) are drawn to imagine from: those inside that are no end.

    Where all of them are ends, any of them.
    """
    going_on = inside * ~is_terminal  # (B, T)
    return torch.where(going_on.any(), going_on, inside).flatten()
