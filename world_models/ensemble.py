"""An ensemble of one-step models of states: what comes next, what it earns, and how far the members agree.

Each member predicts, from a state (O,) and an action (A,), the change of the state, the reward and other readings (M,),
all standardised, and where episodes can end early whether one does, by least squares on mini-batches of its own (as in
Nagabandi et al., arXiv 1708.02596, with the ensemble of Chua et al., arXiv 1805.12114, whose members differ in their
beginnings and their data).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from world_models.nets import SideBySide

LEAST_STD = 1e-3  # of a number that hardly changes: our choice
FAR = 10.0  # deviations beyond which all is alike: a first reward is thousands of the least. Our choice


@dataclass(frozen=True)
class EnsembleConfig:
    members: int = 4
    hidden: int = 200
    layers: int = 2
    lr: float = 1e-3
    weight_decay: float = 1e-5
    """Weight of half the squared parameters in the loss."""
    batch: int = 256
    """Transitions that each member learns from in an update."""


class Ensemble(nn.Module):
    """K members, side by side."""

    def __init__(
        self, state_dim: int, action_dim: int, readings: int, config: EnsembleConfig, terminates: bool = False
    ) -> None:
        """readings: further numbers that each step leads to and that are predicted beside the reward.

        terminates: whether a step can end an episode early, which a last target of 0 or 1 says.
        """
        super().__init__()
        self.config, self.terminates = config, terminates
        self.parts = [state_dim, 1, readings, int(terminates)]
        sizes = [state_dim + action_dim, *[config.hidden] * config.layers, sum(self.parts)]
        self.nets = SideBySide(config.members, sizes)
        self.register_buffer("inputs", torch.stack([torch.zeros(sizes[0]), torch.ones(sizes[0])]))  # mean, std
        self.register_buffer("outputs", torch.stack([torch.zeros(sizes[-1]), torch.ones(sizes[-1])]))

    inputs: Tensor  # (2, O + A)
    outputs: Tensor  # (2, O + 1 + M), or one more

    def optimizer(self) -> torch.optim.Optimizer:
        """Make an optimiser of all members."""
        c = self.config
        return torch.optim.Adam(self.parameters(), c.lr, weight_decay=c.weight_decay, fused=True)

    @torch.no_grad()
    def standardize(self, state: Tensor, action: Tensor, target: Tensor) -> None:
        """Take means and spreads of states (B, O), actions (B, A) and targets (B, O + 1 + M) for those of all data.

        Ends stay what they are: in deviations a rare one would weigh more than all that it ends.
        """
        for kept, seen in ((self.inputs, torch.cat([state, action], 1)), (self.outputs, target)):
            kept.copy_(torch.stack([seen.mean(0), seen.std(0).clamp(min=LEAST_STD)]))
        if self.terminates:
            self.outputs[:, -1] = torch.arange(2.0)

    def forward(self, state: Tensor, action: Tensor) -> Tensor:
        """Predict standardised targets (K, B, O + 1 + M) or one more of states (K, B, O) and actions (K, B, A)."""
        mean, std = self.inputs
        return self.nets((torch.cat([state, action], -1) - mean) / std)

    def loss(self, state: Tensor, action: Tensor, target: Tensor) -> Tensor:
        """Return squared errors (K, B) of predictions from (K, B, O) and (K, B, A), in standard deviations."""
        mean, std = self.outputs
        return (self(state, action) - ((target - mean) / std).clamp(-FAR, FAR)).square().mean(-1)

    def step(self, state: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Imagine a step of each member: states (K, B, O), rewards (K, B), readings (K, B, M), ends (K, B) bool."""
        mean, std = self.outputs
        change, reward, readings, end = (self(state, action) * std + mean).split(self.parts, -1)
        return state + change, reward.squeeze(-1), readings, (end > 0.5).any(-1)
