"""Populations of solutions, rows (P,), all played at once, without a loop over them: here of policies' parameters."""

from collections.abc import Sequence
from itertools import pairwise
from math import sqrt
from typing import Any, Protocol

import torch
from tensordict import TensorDict
from torch import Tensor

from agents.spaces import Spaces


class Kind(Protocol):
    """A kind of solution: how many numbers it has, where it comes from, and how it acts."""

    @property
    def solution_dim(self) -> int:
        """P."""
        ...

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Return random solutions (n, P) on the generator's device."""
        ...

    def act(self, solutions: Tensor, observation: Tensor, age: Tensor) -> Tensor:
        """Let each of N solutions (N, P) answer an observation (N, O), so many actions (N,) after its episode began.

        Returns actions (N, A).
        """
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return what a run needs to play its solutions again, beside its configuration."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any:
        """Play as the kind did that a `state_dict` is of."""
        ...


class Perceptrons:
    """Policies of one shape: hidden ReLU layers, and a tanh that keeps actions in [-1, 1].

    A solution (P,) holds each layer's weights (out, in) and then its biases (out,), as
    `torch.nn.utils.parameters_to_vector` lays out an `nn.Sequential` of `nn.Linear`.
    """

    def __init__(self, inputs: int, outputs: int, hidden: Sequence[int]) -> None:
        self.inputs, self.outputs, self.hidden = inputs, outputs, tuple(hidden)
        self.layers = tuple(pairwise((inputs, *hidden, outputs)))  # (in, out) of each
        self.solution_dim = sum(i * o + o for i, o in self.layers)  # P

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Return random solutions (n, P) on the generator's device.

        Weights are uniform with variance 1 / in, biases zero, as in QDax.
        """
        parts = []
        for i, o in self.layers:
            uniform = torch.rand(count, i * o, device=generator.device, generator=generator) * 2 - 1
            parts += [uniform * sqrt(3 / i), uniform.new_zeros(count, o)]
        return torch.cat(parts, 1)

    def layers_of(self, solutions: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return views of solutions (n, P): weights (n, out, in) and biases (n, out) of each layer."""
        assert solutions.shape[1] == self.solution_dim, (solutions.shape, self.solution_dim)
        found, start = [], 0
        for i, o in self.layers:
            weight, bias = solutions.narrow(1, start, i * o), solutions.narrow(1, start + i * o, o)
            found.append((weight.unflatten(1, (o, i)), bias))
            start += i * o + o
        return found

    def __call__(self, solutions: Tensor, observation: Tensor) -> Tensor:
        """Let each of n solutions (n, P) answer observations of its own, (n, O) or (n, B, O): (n, A) or (n, B, A)."""
        return torch.tanh(self.unbounded(solutions, observation))

    def act(self, solutions: Tensor, observation: Tensor, age: Tensor) -> Tensor:
        """Answer observations (N, O), at whatever age of the episodes: (N, A)."""
        return self(solutions, observation)

    def unbounded(self, solutions: Tensor, inputs: Tensor) -> Tensor:
        """Return what comes before the tanh, which alone is of use where outputs have no bounds."""
        layers = self.layers_of(solutions)
        x = inputs if inputs.dim() == 3 else inputs.unsqueeze(1)  # (n, B, in)
        for weight, bias in layers[:-1]:
            x = torch.relu(torch.baddbmm(bias.unsqueeze(1), x, weight.mT))  # (n, B, out)
        weight, bias = layers[-1]
        x = torch.baddbmm(bias.unsqueeze(1), x, weight.mT)  # (n, B, out)
        return x if inputs.dim() == 3 else x.squeeze(1)

    def state_dict(self) -> dict[str, Any]:
        """Return nothing: the configuration says all."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take nothing."""


def perceptrons_of(spaces: Spaces, hidden: tuple[int, ...]) -> Perceptrons:
    """Return what solutions play with; raise ValueError, in one line, for sizes or observations that make no sense."""
    if "state" not in spaces.observations:
        raise ValueError("policies of an archive see states: take --observation state")
    if min(hidden, default=1) < 1:
        raise ValueError(f"--agent.hidden must be at least 1, not {' '.join(map(str, hidden))}")
    return Perceptrons(spaces.observations["state"][0], spaces.action_dim, hidden)


class Players:
    """Play given solutions (N, P), one an environment, whatever `explore` says: a policy for `evaluate`."""

    def __init__(self, kind: Kind, solutions: Tensor) -> None:
        self.kind, self.solutions = kind, solutions

    def initial_carry(self, num_envs: int) -> TensorDict:
        """Return no ages yet (N,). Raises ValueError for another number of environments than solutions."""
        if num_envs != len(self.solutions):
            raise ValueError(f"{len(self.solutions)} solutions play in as many environments, not in {num_envs}")
        device = self.solutions.device
        age = torch.zeros(num_envs, dtype=torch.int64, device=device)
        return TensorDict({"age": age}, batch_size=[num_envs], device=device)

    @torch.no_grad()
    def act(self, timestep: TensorDict, carry: TensorDict, explore: bool = True) -> tuple[TensorDict, TensorDict]:
        """Answer a timestep (N,)."""
        age = aged(timestep, carry["age"])
        action = self.kind.act(self.solutions, timestep["state"], age)  # (N, A)
        batch = timestep.batch_size
        return TensorDict({"action": action}, batch_size=batch), TensorDict({"age": age}, batch_size=batch)


def aged(timestep: TensorDict, age: Tensor) -> Tensor:
    """Return how many actions the episodes (N,) of a timestep (N,) have had, given that of the timestep before."""
    return torch.where(timestep["is_first"], 0, age + 1)
