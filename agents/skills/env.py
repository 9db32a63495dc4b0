"""Environments whose actions are skills: each is held for some steps of the environments beneath."""

from collections.abc import Callable
from typing import Any, Protocol

import torch
from tensordict import TensorDict
from torch import Tensor
from torch.nn import functional as F


class Stepped(Protocol):
    """What is held still for a skill: N environments with next-step reset, which `reset` begins anew in some rows."""

    num_envs: int
    device: torch.device

    def reset(self, rows: Tensor | None = None) -> TensorDict: ...

    def step(self, action: Tensor) -> TensorDict: ...


class SkillEnv:
    """A `BatchedEnv` whose actions (N, Z) in [-1, 1] are skills by their direction, held for `hold` steps.

    The reward is the sum of the steps'. A row whose episode ends within them stays at its end, as `is_last`, and the
    next step begins another: time is next-step reset, as beneath. What is not written here is the environments' own.
    """

    def __init__(self, env: Stepped, act: Callable[[Tensor, Tensor], Tensor], skill_dim: int, hold: int) -> None:
        """act: takes states (N, O) and skills (N, Z) to actions."""
        if hold < 1:
            raise ValueError(f"skills are held for at least 1 step, not {hold}")
        beneath: Any = env
        self.env, self._act, self.hold, self.action_dim = beneath, act, hold, skill_dim
        self.episode_length = -(-beneath.episode_length // hold)
        self.step_seconds, self.action_repeat = beneath.step_seconds * hold, beneath.action_repeat * hold
        self._last = torch.ones(env.num_envs, dtype=torch.bool, device=env.device)
        self._state = torch.empty(0)  # (N, O) what the policy beneath saw last

    def __getattr__(self, name: str) -> Any:
        if name == "env" or name.startswith("__"):  # asked for by `copy` before there is anything beneath
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self.env, name)

    def reset(self, rows: Tensor | None = None) -> TensorDict:
        """Begin new episodes in `rows` (N,) bool, by default everywhere; see `BatchedEnv.reset`."""
        timestep = self.env.reset(rows)
        self._state = timestep["state"]
        self._last = torch.zeros_like(self._last) if rows is None else self._last & ~rows.to(self._last.device)
        return timestep

    @torch.no_grad()
    def step(self, action: Tensor) -> TensorDict:
        """Hold skills in the directions of actions (N, Z); reset rows that were last."""
        if action.shape != (self.num_envs, self.action_dim):
            raise ValueError(f"actions must be {(self.num_envs, self.action_dim)}, not {tuple(action.shape)}")
        skill = direction(action.to(self.device))  # (N, Z)
        first, running = self._last, ~self._last  # (N,)
        after: TensorDict | None = None
        reward = torch.zeros(self.num_envs, device=self.device)
        for _ in range(self.hold):
            if not running.any():
                break
            timestep = self.env.step(self._act(self._state, skill))  # rows that have ended run on, and are put back
            self._state = timestep["state"]
            reward += torch.where(running, timestep["reward"], 0.0)
            after = timestep if after is None else timestep.where(running, after)
            running = running & ~timestep["is_last"]
        if first.any():
            begun = self.env.reset(first)
            self._state = begun["state"]
            after = begun if after is None else begun.where(first, after)
        assert after is not None
        self._last = after["is_last"].clone()
        return after.set("reward", reward)

    def place(self, state: dict[str, Any], source: Tensor) -> TensorDict:
        """Put environment n where environment source[n] was, at its end if it was there; see `BatchedEnv.place`."""
        timestep = self.env.place(state["env"], source)
        self._last = state["last"].to(self.device)[source.to(self.device)]  # beneath, what had ended may have run on
        self._state = timestep["state"]
        return timestep.set("is_last", self._last.clone())

    def state_dict(self) -> dict[str, Any]:
        """Return what the environments' future depends on."""
        return {"env": self.env.state_dict(), "last": self._last.clone(), "state": self._state.clone()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on exactly where `state` was taken."""
        self.env.load_state_dict(state["env"])
        self._last, self._state = (state[name].to(self.device, copy=True) for name in ("last", "state"))


def direction(action: Tensor) -> Tensor:
    """Return actions (..., Z) at unit length; none of them is no direction, so 0 is taken as the first axis."""
    first = F.one_hot(torch.zeros((), dtype=torch.int64, device=action.device), action.shape[-1]).to(action)
    return F.normalize(torch.where((action == 0).all(-1, keepdim=True), first, action), dim=-1)
