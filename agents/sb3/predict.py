"""Our agents where a stable-baselines3 model is expected: `evaluate_policy(Predictor(agent), env)`."""

from typing import Any

import numpy as np
import torch
from tensordict import TensorDict

from agents.agent import Policy


class Predictor:
    """Answer `predict` with a policy. What stable-baselines3 calls the state is the policy's carry.

    The policy sees no rewards and no ends of episodes, which `predict` is not told.
    """

    def __init__(self, policy: Policy, device: torch.device | str = "cpu") -> None:
        self.policy, self.device = policy, torch.device(device)

    def predict(
        self,
        observation: np.ndarray | dict[str, np.ndarray],
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, Any]:
        """Return actions (N, A), or (A,) for a single observation, and the carry to pass next time.

        observation: the state (N, O) float, frames (N, S, S, 3) uint8, or both by name.
        episode_start: (N,) bool; by default all begin where there is no carry yet, and none after.
        """
        if not isinstance(observation, dict):
            observation = {"pixels" if observation.dtype == np.uint8 else "state": observation}
        name, array = next(iter(observation.items()))
        single = array.ndim == (3 if name == "pixels" else 1)
        values = {
            name: torch.as_tensor(array[None] if single else array, device=self.device)
            for name, array in observation.items()
        }
        count = len(next(iter(values.values())))
        carry = self.policy.initial_carry(count) if state is None else state
        nothing = torch.zeros(count, dtype=torch.bool, device=self.device)
        first = nothing.logical_not() if state is None else nothing
        if episode_start is not None:
            first = torch.as_tensor(episode_start, dtype=torch.bool, device=self.device).expand(count)
        flags = {"is_first": first, "is_last": nothing, "is_terminal": nothing, "reward": nothing.float()}
        timestep = TensorDict(values | flags, batch_size=[count], device=self.device)
        out, carry = self.policy.act(timestep, carry, explore=not deterministic)
        action = out["action"].cpu().numpy()
        return action[0] if single else action, carry
