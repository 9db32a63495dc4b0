"""Policies."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from world_models.nets import mlp

MEAN_BOUND = 2.0  # tanh(2) = .96: the mean cannot run into saturation, our choice
MIN_STD = 0.1


class Actor(nn.Module):
    """Tanh-normal policy pi(a | feat) on [-1, 1]^A, as in Dreamer (arXiv 1912.01603)."""

    def __init__(self, feat_dim: int, action_dim: int, hidden: int, layers: int = 2) -> None:
        super().__init__()
        self.net = mlp(feat_dim, 2 * action_dim, hidden, layers)

    def forward(self, feat: Tensor) -> tuple[Tensor, Tensor]:
        """Sample actions (..., A) by reparametrisation, with the entropy's one-sample estimate (...), in nats."""
        mean, std = self.parameters_of(feat)
        noise = torch.randn_like(std)
        raw = mean + std * noise  # (..., A)
        log_normal = -0.5 * noise.square() - std.log() - 0.5 * math.log(2 * math.pi)
        log_slope = 2 * (math.log(2) - raw - F.softplus(-2 * raw))  # ln(1 - tanh^2)
        return torch.tanh(raw), -(log_normal - log_slope).sum(-1)

    def mode(self, feat: Tensor) -> Tensor:
        """Return the action (..., A) at the normal's mean."""
        return torch.tanh(self.parameters_of(feat)[0])

    def parameters_of(self, feat: Tensor) -> tuple[Tensor, Tensor]:
        mean, std = self.net(feat).chunk(2, -1)
        return MEAN_BOUND * torch.tanh(mean / MEAN_BOUND), F.softplus(std) + MIN_STD
