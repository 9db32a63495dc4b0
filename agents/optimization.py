"""Gradient steps."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

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


class Freezable(Protocol):
    """A module, or what stands for one."""

    def requires_grad_(self, requires_grad: bool) -> Any: ...


@contextmanager
def frozen(*modules: Freezable | None) -> Iterator[None]:
    """Let gradients pass through modules but not into their parameters."""
    for module in modules:
        if module is not None:
            module.requires_grad_(False)
    try:
        yield
    finally:
        for module in modules:
            if module is not None:
                module.requires_grad_(True)
