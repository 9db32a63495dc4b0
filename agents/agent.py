"""What the trainer and the evaluation need from an agent, and nothing else."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from tensordict import TensorDict
from torch import Tensor

from agents.replay import ReplayBuffer

if TYPE_CHECKING:
    from agents.evaluation import Environments


class Policy(Protocol):
    """Something that acts in N environments at once."""

    def initial_carry(self, num_envs: int) -> TensorDict:
        """Return the per-environment memory (N,) before a first row: latent state, skill, solution."""
        ...

    def act(self, timestep: TensorDict, carry: TensorDict, explore: bool = True) -> tuple[TensorDict, TensorDict]:
        """Answer a timestep (N,): what the row stores, with `action` (N, A) in [-1, 1], and the next carry (N,).

        explore: as while collecting. An agent may count on it that such rows enter the replay, and only greedy calls
        leave it as it is.
        """
        ...


class Agent(Policy, Protocol):
    """A policy that learns from a replay buffer."""

    def update(self, replay: ReplayBuffer) -> dict[str, Tensor]:
        """Take one training step; metrics are 0-dim tensors that stay on the device."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return all that learning needs to go on: parameters, optimisers, running statistics."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any:
        """Continue from a `state_dict`."""
        ...


@runtime_checkable
class Composite(Protocol):
    """An agent made of several, each of which acts, and is evaluated, alone."""

    def policies(self) -> dict[str, Policy]:
        """Return its parts by name."""
        ...


def policies_of(agent: Policy) -> dict[str, Policy]:
    """Return what of an agent is evaluated alone, by what stands before its metrics' names: itself, or its parts."""
    if isinstance(agent, Composite):
        return {f"{name}/": policy for name, policy in agent.policies().items()}
    return {"": agent}


@runtime_checkable
class Examinable(Protocol):
    """An agent that can say more about rows it did not learn from than the return that it got."""

    def examine(self, replay: ReplayBuffer) -> dict[str, Tensor]:
        """Return 0-dim metrics of what was learned, on rows that were never trained on."""
        ...

    def represent(self, rows: TensorDict) -> dict[str, Tensor]:
        """Return what is made of rows (B, T): codes (B, T, ...) by name, among them `stoch`."""
        ...


@runtime_checkable
class Assessable(Protocol):
    """An agent that found more than the one policy by which it acts greedily."""

    def assess(self, envs: "Environments") -> dict[str, Tensor]:
        """Play all that was found in environments in which nothing was learned; return 0-dim metrics."""
        ...


@runtime_checkable
class Telling(Protocol):
    """An agent with figures of what it has found so far, which are not averages over updates."""

    def metrics(self) -> dict[str, Tensor]:
        """Return 0-dim metrics, as they are now."""
        ...


def metrics_of(agent: Policy) -> dict[str, Tensor]:
    """Return what an agent, or each of its parts, has to tell of what it has found so far."""
    telling = {name: policy for name, policy in policies_of(agent).items() if isinstance(policy, Telling)}
    return {name + metric: value for name, policy in telling.items() for metric, value in policy.metrics().items()}


@runtime_checkable
class Exportable(Protocol):
    """An agent whose findings other programs read."""

    def export(self, folder: Path) -> None:
        """Write them into a folder, in the place of what an earlier call wrote there."""
        ...
