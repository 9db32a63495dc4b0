"""Gradient steps."""

import math

import torch
from torch import Tensor, nn


def descend(
    optimizer: torch.optim.Optimizer, loss: Tensor, parameters: list[nn.Parameter], clip: float = math.inf
) -> Tensor:
    """Take one clipped gradient step; return the norm before clipping."""
    optimizer.zero_grad()
    loss.backward()
    norm = nn.utils.clip_grad_norm_(parameters, clip)
    optimizer.step()
    return norm
