"""Variation of policies by the gradient of a critic: a few bounded steps uphill, all policies at once."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from agents.map_elites.solutions import Perceptrons


@dataclass(frozen=True)
class Ascent:
    """How policies are varied by gradients."""

    share: float = 0.5
    """Share of the offspring, beside the others' shares."""
    steps: int = 10
    """Gradient steps of a policy."""
    lr: float = 1e-3
    change: float = 0.1
    """How far a policy may move, as a share of the length of its parameters."""


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


class Climb:
    """Vary policies by a critic, on the observations (G, B, O) of the last batches that were learned from."""

    def __init__(self, perceptrons: Perceptrons, config: Ascent, batch: int, device: torch.device | str) -> None:
        """batch: B. Raise ValueError, in one line, for sizes that make no sense."""
        if config.steps < 1:
            raise ValueError(f"--agent.ascent.steps must be at least 1, not {config.steps}")
        for name, value in {"lr": config.lr, "change": config.change}.items():
            if not value > 0:
                raise ValueError(f"--agent.ascent.{name} must be above 0, not {value}")
        self.perceptrons, self.config = perceptrons, config
        self.seen = torch.zeros(config.steps, batch, perceptrons.inputs, device=device)  # (G, B, O)
        self.count = 0  # batches since the beginning
        self.moved = torch.zeros((), device=device)  # by the last climb, as a share of parameters' length

    def add(self, observation: Tensor) -> None:
        """Take in one batch (B, O), in the place of the oldest."""
        self.seen[self.count % len(self.seen)] = observation
        self.count += 1

    def ready(self) -> bool:
        """Say whether there have been G batches."""
        return self.count >= len(self.seen)

    def __call__(self, solutions: Tensor, value: Value) -> Tensor:
        """Return what solutions (n, P) become that climb."""
        found, moved = ascend(self.perceptrons, solutions, self.seen, value, self.config.lr, self.config.change)
        self.moved = moved.mean()
        return found

    def state_dict(self) -> dict[str, Any]:
        return {"seen": self.seen.clone(), "count": self.count, "moved": self.moved}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.seen.copy_(state_dict["seen"])
        self.count, self.moved = state_dict["count"], state_dict["moved"].to(self.moved.device)
