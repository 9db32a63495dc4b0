"""Any task with a goal instead of its reward: to bring what it signals as `position` to a point."""

from collections.abc import Sequence
from typing import Any

import torch
from tensordict import TensorDict
from torch import Tensor

from envs.batched import BatchedEnv
from envs.checks import check_tensor


class GoalEnv:
    """Environments (N,) that draw a goal (G,) for each episode, from a box, and show it as the observation `goal`.

    The reward of an action is 1 if the position is then less than `radius` from the goal, and 0 else; `dense` takes off
    the distance. The rest is the task's: other observations, signals, when episodes end.
    """

    def __init__(
        self,
        env: BatchedEnv,
        low: Sequence[float],
        high: Sequence[float],
        radius: float,
        dense: bool = False,
        goals: Tensor | None = None,
        seed: int = 0,
    ) -> None:
        """env: made with signals=True. low, high: corners of the box. goals: (N, G), to keep instead of drawing any.

        Raises ValueError, in one line, for a box, a radius or goals that make no sense.
        """
        if "position" not in env.signal_shapes:
            raise ValueError("a goal is for the signal position: make the environments with signals=True")
        (places,) = env.signal_shapes["position"]
        if not len(low) == len(high) == places:
            raise ValueError(f"goals have {places} numbers, as positions of {env.task}, not {len(low)} to {len(high)}")
        if any(least > most for least, most in zip(low, high, strict=True)):
            raise ValueError(f"low must not be above high: goals cannot lie in {tuple(low)} to {tuple(high)}")
        if not radius > 0:
            raise ValueError(f"radius must be above 0, got {radius}: no position would be near its goal")
        if goals is not None:
            check_tensor("goals", goals, (env.num_envs, places))
        self.env, self.radius, self.dense = env, radius, dense
        self.goals = None if goals is None else goals.to(env.device, torch.float32)
        self.low, self.high = (torch.as_tensor(corner, dtype=torch.float32) for corner in (low, high))  # (G,)
        self.observation_shapes = {**env.observation_shapes, "goal": (places,)}
        self.generator = torch.Generator().manual_seed(seed)
        self.goal = torch.zeros(env.num_envs, places, device=env.device)

    def __getattr__(self, name: str) -> Any:
        if name == "env" or name.startswith("__"):  # asked for by `copy` before there is anything beneath
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self.env, name)

    def seed(self, seed: int) -> None:
        """Draw starts and goals from another seed."""
        self.generator.manual_seed(seed)
        self.env.seed(seed)

    def reset(self, rows: Tensor | None = None) -> TensorDict:
        """Begin new episodes, with new goals, in `rows` (N,) bool, by default everywhere; see `BatchedEnv.reset`."""
        timestep = self._answered(self.env.reset(rows))
        timestep["reward"].zero_()
        return timestep

    def step(self, action: Tensor) -> TensorDict:
        """Apply actions (N, A); see `BatchedEnv.step`."""
        return self._answered(self.env.step(action))

    def place(self, state: dict[str, Any], source: Tensor) -> TensorDict:
        """Put environment n where environment source[n] was, goal included; see `BatchedEnv.place`."""
        timestep = self.env.place(state["env"], source)
        self.goal = state["goal"].to(self.env.device)[source.to(self.env.device)]
        timestep = self._answered(timestep)
        timestep["reward"].zero_()
        return timestep

    def _answered(self, timestep: TensorDict) -> TensorDict:
        """Put the goal and its reward into a timestep (N,)."""
        first = timestep["is_first"]  # (N,)
        drawn = torch.rand(self.goal.shape, generator=self.generator) * (self.high - self.low) + self.low
        drawn = drawn.to(self.goal.device, non_blocking=True) if self.goals is None else self.goals
        self.goal = torch.where(first.unsqueeze(1), drawn, self.goal)
        distance = (timestep["position"] - self.goal).norm(dim=1)  # (N,)
        reward = (distance < self.radius).float() - (distance if self.dense else 0.0)
        return timestep.update({"goal": self.goal, "reward": reward.masked_fill(first, 0.0)})

    def state_dict(self) -> dict[str, Any]:
        """Return what the environments' future depends on."""
        return {"env": self.env.state_dict(), "goal": self.goal, "generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on exactly where `state` was taken."""
        self.env.load_state_dict(state["env"])
        self.goal = state["goal"].to(self.env.device, copy=True)
        self.generator.set_state(state["generator"])
