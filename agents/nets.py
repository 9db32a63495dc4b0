"""Policies."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from world_models.nets import mlp

MEAN_BOUND = 2.0  # tanh(2) = .96: the mean cannot run into saturation, our choice
MIN_STD = 0.1


class Draw(NamedTuple):
    """A tanh-normal sample, before the tanh: `raw` = mean + `std` * `noise`, (..., A) each."""

    raw: Tensor
    std: Tensor
    noise: Tensor

    def action(self) -> Tensor:
        return torch.tanh(self.raw)

    def entropy(self) -> Tensor:
        """Return the entropy's one-sample estimate -ln pi(a) (...), in nats."""
        log_normal = -0.5 * self.noise.square() - self.std.log() - 0.5 * math.log(2 * math.pi)
        log_slope = 2 * (math.log(2) - self.raw - F.softplus(-2 * self.raw))  # ln(1 - tanh^2)
        return -(log_normal - log_slope).sum(-1)

    def log_prob(self) -> Tensor:
        """Return ln pi(a) (...) in nats of the action that was drawn, through which no gradient passes."""
        raw, mean = self.raw.detach(), self.raw - self.std * self.noise
        return -Draw(raw, self.std, (raw - mean) / self.std).entropy()


class Actor(nn.Module):
    """Tanh-normal policy pi(a | feat) on [-1, 1]^A, as in Dreamer (arXiv 1912.01603)."""

    def __init__(self, feat_dim: int, action_dim: int, hidden: int, layers: int = 2) -> None:
        super().__init__()
        self.net = mlp(feat_dim, 2 * action_dim, hidden, layers)

    def forward(self, feat: Tensor) -> Draw:
        """Draw actions (..., A) by reparametrisation."""
        mean, std = self.parameters_of(feat)
        noise = torch.randn_like(std)
        return Draw(mean + std * noise, std, noise)

    def mode(self, feat: Tensor) -> Tensor:
        """Return the action (..., A) at the normal's mean."""
        return torch.tanh(self.parameters_of(feat)[0])

    def parameters_of(self, feat: Tensor) -> tuple[Tensor, Tensor]:
        mean, std = self.net(feat).chunk(2, -1)
        return MEAN_BOUND * torch.tanh(mean / MEAN_BOUND), F.softplus(std) + MIN_STD
