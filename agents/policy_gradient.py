"""Variation of policies by the gradient of a critic: a few bounded steps uphill, all policies at once."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from agents.solutions import Perceptrons

Value = Callable[[Tensor, Tensor], Tensor]
"""What observations (n, B, O) and actions (n, B, A) are worth: (n, B)."""


def ascend(
    perceptrons: Perceptrons, solutions: Tensor, seen: Tensor, value: Value, lr: float, change: float
) -> tuple[Tensor, Tensor]:
    """Let solutions (n, P) climb by Adam, one step for each batch of observations seen (G, B, O).

    No solution moves further than `change` times its own length, so that it stays a variation (our choice). Returns
    what they become (n, P), and how far each has moved, as a share of its length (n,).
    """
    moving = solutions.detach().clone().requires_grad_()  # (n, P)
    optimizer = torch.optim.Adam([moving], lr)
    with torch.enable_grad():
        for some in seen:
            observation = some.expand(len(moving), -1, -1)  # (n, B, O)
            gain = value(observation, perceptrons(moving, observation)).mean(1).sum()
            (moving.grad,) = torch.autograd.grad(-gain, moving)
            optimizer.step()
    step = moving.detach() - solutions  # (n, P)
    moved = step.norm(dim=1) / solutions.norm(dim=1).clamp(min=1e-8)  # (n,)
    shrink = (change / moved.clamp(min=1e-8)).clamp(max=1)  # (n,)
    return solutions + shrink.unsqueeze(1) * step, moved * shrink


class Recent:
    """The observations of the last G batches that were learned from (G, B, O): what policies are varied on."""

    def __init__(self, batches: int, batch: int, shape: tuple[int, ...], device: torch.device | str) -> None:
        self.seen = torch.zeros(batches, batch, *shape, device=device)
        self.count = 0  # batches since the beginning

    def add(self, observation: Tensor) -> None:
        """Take in one batch (B, O), in the place of the oldest."""
        self.seen[self.count % len(self.seen)] = observation
        self.count += 1

    def full(self) -> bool:
        """Say whether there have been G batches."""
        return self.count >= len(self.seen)

    def state_dict(self) -> dict[str, Any]:
        return {"seen": self.seen.clone(), "count": self.count}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.seen.copy_(state_dict["seen"])
        self.count = state_dict["count"]
