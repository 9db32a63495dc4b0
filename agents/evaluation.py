"""The one evaluation, used while training and by the command line."""

from collections.abc import Callable
from typing import Protocol

import torch
from tensordict import TensorDict
from torch import Tensor

from agents.agent import Policy


class Environments(Protocol):
    """What evaluation needs from N environments with next-step reset."""

    num_envs: int

    def reset(self) -> TensorDict: ...

    def step(self, action: Tensor) -> TensorDict: ...


def evaluate(
    policy: Policy,
    envs: Environments,
    episodes: int,
    explore: bool = False,
    watch: Callable[[TensorDict], object] | None = None,
) -> Tensor:
    """Play whole episodes in parallel and return their undiscounted returns (episodes,), grouped by environment.

    Environment n plays its share of the episodes however long they are, so short episodes do not crowd out long ones.
    `watch` sees every row (N,), timestep and answer, as a replay would. The global generators stay as they were.
    """
    if episodes < 1:
        raise ValueError(f"episodes must be at least 1, not {episodes}")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        timestep, carry = envs.reset(), policy.initial_carry(envs.num_envs)
        running = torch.zeros_like(timestep["reward"])  # (N,)
        ranks = torch.arange(envs.num_envs, device=running.device)
        share = (episodes + envs.num_envs - 1 - ranks) // envs.num_envs  # (N,) sums to `episodes`
        finished = torch.zeros_like(share)  # (N,)
        most = int(share.max())
        returns = running.new_zeros(envs.num_envs, most + 1)  # (N, most + 1), the last for who has none to write
        while (finished < share).any():
            out, carry = policy.act(timestep, carry, explore)
            if watch is not None:
                watch(timestep.clone().update(out))
            timestep = envs.step(out["action"])
            running += timestep["reward"]
            ended = timestep["is_last"] & (finished < share)  # (N,)
            returns.scatter_(1, torch.where(ended, finished, most).unsqueeze(1), running.unsqueeze(1))
            finished += ended
            running *= ~timestep["is_last"]
        if watch is not None:  # the last row of all, which holds what the last action earned
            watch(timestep.clone().update(policy.act(timestep, carry, explore)[0]))
    return returns[:, :most][torch.arange(most, device=running.device) < share.unsqueeze(1)]


def play_held(
    policy: Policy, envs: Environments, steps: int, held: int, seed: int, watch: Callable[[TensorDict], object]
) -> None:
    """Play greedily for some steps from a reset, each action held for `held` of them; `watch` sees every timestep (N,).

    The global generators stay as they were.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        timestep, carry = envs.reset(), policy.initial_carry(envs.num_envs)
        watch(timestep)
        for step in range(steps):
            if step % held == 0:
                out, carry = policy.act(timestep, carry, explore=False)
            timestep = envs.step(out["action"])
            watch(timestep)


class RandomPolicy:
    """Uniform actions, from a generator of its own: what every agent is compared with."""

    def __init__(self, action_dim: int, device: torch.device | str, seed: int) -> None:
        self.action_dim, self.device = action_dim, torch.device(device)
        self.generator = torch.Generator().manual_seed(seed)

    def initial_carry(self, num_envs: int) -> TensorDict:
        return TensorDict({}, batch_size=[num_envs], device=self.device)

    def act(self, timestep: TensorDict, carry: TensorDict, explore: bool = True) -> tuple[TensorDict, TensorDict]:
        """Answer with uniform actions (N, A)."""
        action = torch.rand(*timestep.shape, self.action_dim, generator=self.generator) * 2 - 1
        return TensorDict({"action": action.to(self.device)}, batch_size=timestep.batch_size), carry
