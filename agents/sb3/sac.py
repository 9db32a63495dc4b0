"""stable-baselines3's SAC (arXiv 1801.01290, 1812.05905) as an agent."""

from dataclasses import dataclass
from typing import Any

import torch
from stable_baselines3 import SAC
from stable_baselines3.common.type_aliases import ReplayBufferSamples
from tensordict import TensorDict
from torch import Tensor

from agents.replay import ReplayBuffer
from agents.sb3.adapter import build, metrics, observation, seen
from agents.spaces import Spaces


@dataclass(frozen=True)
class SB3SACConfig:
    net_arch: tuple[int, ...] = (256, 256)
    learning_rate: float = 3e-4
    batch_size: int = 256
    tau: float = 0.005
    gamma: float = 0.99
    ent_coef: str = "auto"
    """Weight of the policy's entropy; auto learns it."""


class SB3SAC:
    """Act by SAC's policy, at random until the first update; one update is one gradient step of each net."""

    def __init__(
        self,
        spaces: Spaces,
        config: SB3SACConfig,
        device: torch.device | str = "cpu",
    ) -> None:
        self.seen, self.action_dim = seen(spaces.observations), spaces.action_dim
        self.algorithm = build(
            SAC,
            config,
            spaces,
            device,
            target_entropy=-float(spaces.action_dim),  # stable-baselines3's own, which it takes from an environment
            buffer_size=1,  # of its own replay buffer, which the next lines replace
        )
        self.batches = Batches(self.seen)
        self.algorithm.replay_buffer = self.batches  # type: ignore[assignment]

    def initial_carry(self, num_envs: int) -> TensorDict:
        return TensorDict({}, batch_size=[num_envs], device=self.algorithm.device)

    @torch.no_grad()
    def act(self, timestep: TensorDict, carry: TensorDict, explore: bool = True) -> tuple[TensorDict, TensorDict]:
        """Answer a timestep (N,)."""
        if explore and self.algorithm._n_updates == 0:
            action = torch.rand(*timestep.shape, self.action_dim, device=self.algorithm.device) * 2 - 1
        else:
            action = self.algorithm.actor(observation(timestep, self.seen), deterministic=not explore)
        return TensorDict({"action": action}, batch_size=timestep.batch_size), carry

    def update(self, replay: ReplayBuffer) -> dict[str, Tensor]:
        """Take one gradient step on a batch of transitions."""
        self.batches.replay = replay
        self.algorithm.train(gradient_steps=1, batch_size=self.algorithm.batch_size)
        return metrics(self.algorithm, "sac")

    def state_dict(self) -> dict[str, Any]:
        """Return policy, critics, optimisers, the entropy's weight and the count of updates."""
        entropy = self.algorithm.log_ent_coef
        return {
            "parameters": self.algorithm.get_parameters(),
            "log_ent_coef": None if entropy is None else entropy.detach(),
            "updates": self.algorithm._n_updates,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a `state_dict`."""
        self.algorithm.set_parameters(state_dict["parameters"])
        if self.algorithm.log_ent_coef is not None:
            self.algorithm.log_ent_coef.data.copy_(state_dict["log_ent_coef"])
        self.algorithm._n_updates = state_dict["updates"]


class Batches:
    """What SAC's `train` needs of a replay buffer: batches of transitions, from slices of two rows of ours."""

    def __init__(self, seen: str) -> None:
        self.seen = seen
        self.replay: ReplayBuffer | None = None

    def sample(self, batch_size: int, env: None = None) -> ReplayBufferSamples:
        """Draw transitions uniformly; a slice that begins with an episode's last row is a reset, and drawn again."""
        assert self.replay is not None
        rows, _ = self.replay.sample(batch_size, 2)  # (B, 2)
        while (resets := rows["is_last"][:, 0].clone()).any():
            rows[resets] = self.replay.sample(int(resets.sum()), 2)[0]
        seen = observation(rows, self.seen)
        return ReplayBufferSamples(
            observations=seen[:, 0],
            actions=rows["action"][:, 0],
            next_observations=seen[:, 1],
            dones=rows["is_terminal"][:, 1:].float(),  # (B, 1); a time limit does not end the value
            rewards=rows["reward"][:, 1:],  # (B, 1)
        )
