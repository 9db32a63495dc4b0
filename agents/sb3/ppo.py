"""stable-baselines3's PPO (arXiv 1707.06347) as an agent."""

from dataclasses import dataclass
from typing import Any

import torch
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import RolloutBuffer
from tensordict import TensorDict
from torch import Tensor

from agents.replay import ReplayBuffer
from agents.sb3.adapter import build, metrics, observation, seen
from agents.spaces import Spaces

ROLLOUT = ("observations", "actions", "values", "log_probs", "advantages", "returns")  # what PPO's `train` reads


@dataclass(frozen=True)
class SB3PPOConfig:
    """The number of steps between updates is the run's: 1 / --train-ratio environment steps, those of all together."""

    net_arch: tuple[int, ...] = (64, 64)
    learning_rate: float = 3e-4
    batch_size: int = 64
    n_epochs: int = 10
    gamma: float = 0.99
    gae_lambda: float = 0.95
    clip_range: float = 0.2
    ent_coef: float = 0.0
    vf_coef: float = 0.5
    max_grad_norm: float = 0.5


class SB3PPO:
    """Learn, on policy, from every step since the last update: once, in minibatches of `n_epochs` passes."""

    def __init__(
        self,
        spaces: Spaces,
        config: SB3PPOConfig,
        device: torch.device | str = "cpu",
    ) -> None:
        self.seen = seen(spaces.observations)
        self.algorithm = build(PPO, config, spaces, device)
        self.unused = 0  # steps of every environment since the last update

    def initial_carry(self, num_envs: int) -> TensorDict:
        return TensorDict({}, batch_size=[num_envs], device=self.algorithm.device)

    @torch.no_grad()
    def act(self, timestep: TensorDict, carry: TensorDict, explore: bool = True) -> tuple[TensorDict, TensorDict]:
        """Answer a timestep (N,); the row keeps what the policy thought: its unclipped action, value and log prob."""
        raw, value, log_prob = self.algorithm.policy(observation(timestep, self.seen), deterministic=not explore)
        self.unused += explore
        out = {"action": raw.clamp(-1, 1), "raw_action": raw, "value": value.flatten(), "log_prob": log_prob}
        return TensorDict(out, batch_size=timestep.batch_size), carry

    def update(self, replay: ReplayBuffer) -> dict[str, Tensor]:
        """Learn from the steps since the last update, if there are any; raise ValueError if some are forgotten."""
        if self.unused > replay.size:
            raise ValueError(
                f"PPO learns from all of the {self.unused} steps since its last update, and the replay holds "
                f"{replay.size} of each environment: raise --replay-size or --train-ratio"
            )
        rows = replay.latest(min(self.unused + 1, replay.size))  # (N, T): the row that the last update ended with, too
        self.unused = 0
        if rows["is_last"][:, :-1].all():
            return {}
        self.algorithm.rollout_buffer = self.rollout(rows)
        self.algorithm.train()
        return metrics(self.algorithm, "ppo")

    def rollout(self, rows: TensorDict) -> RolloutBuffer:
        """Put the transitions of rows (N, T) into stable-baselines3's buffer, which computes the advantages.

        What follows an episode's last row is a reset, not a transition: it marks a boundary and is then left out.
        Where only time was up, the last row's value counts, as in stable-baselines3.
        """
        rows, algorithm = rows.cpu(), self.algorithm
        num_envs, length = rows.shape
        buffer = RolloutBuffer(
            length - 1,
            algorithm.observation_space,
            algorithm.action_space,
            algorithm.device,
            algorithm.gae_lambda,
            algorithm.gamma,
            num_envs,
        )
        last, value = rows["is_last"], rows["value"]  # (N, T)
        reward = rows["reward"] + algorithm.gamma * value * (last & ~rows["is_terminal"])
        arrays = (observation(rows, self.seen), rows["raw_action"], reward.roll(-1, 1), last, value, rows["log_prob"])
        for obs, action, answer, boundary, now, log_prob in zip(*(x[:, :-1].unbind(1) for x in arrays), strict=True):
            buffer.add(obs.numpy(), action.numpy(), answer.numpy(), boundary.numpy(), now, log_prob)
        buffer.compute_returns_and_advantage(value[:, -1], last[:, -1].numpy())
        kept = ~last[:, :-1].flatten().numpy()  # (N * (T - 1),)
        for name in ROLLOUT:
            setattr(buffer, name, buffer.swap_and_flatten(getattr(buffer, name))[kept])
        buffer.buffer_size, buffer.n_envs, buffer.generator_ready = int(kept.sum()), 1, True
        return buffer

    def state_dict(self) -> dict[str, Any]:
        """Return policy, optimiser and counts."""
        return {
            "parameters": self.algorithm.get_parameters(),
            "updates": self.algorithm._n_updates,
            "unused": self.unused,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a `state_dict`."""
        self.algorithm.set_parameters(state_dict["parameters"])
        self.algorithm._n_updates, self.unused = state_dict["updates"], state_dict["unused"]
