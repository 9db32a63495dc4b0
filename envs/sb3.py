"""The environments as stable-baselines3's: `SAC("MlpPolicy", envs.sb3.make_vec_env("walker_walk", 8)).learn(...)`."""

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode
from stable_baselines3.common import vec_env
from stable_baselines3.common.vec_env import VecMonitor
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvObs, VecEnvStepReturn

from envs.gym import VectorEnv, make_torch, row, to_numpy


def make_vec_env(task: str, num_envs: int = 1, **options: Any) -> VecMonitor:
    """Make N environments of a task that report their episodes, as stable-baselines3's function of this name does.

    For options, see `envs.gym.make_torch`; stable-baselines3 needs same-step autoreset, so that is none of them.
    """
    if "autoreset_mode" in options:
        raise ValueError("autoreset_mode is no option here: stable-baselines3 needs SameStep")
    return VecMonitor(VecEnv(make_torch(task, num_envs, AutoresetMode.SAME_STEP, **options)))


def vec_env_of(env: Any) -> VecMonitor:
    """Let stable-baselines3 step what steps as a `BatchedEnv` does: one, with a goal, or with skills as its actions."""
    return VecMonitor(VecEnv(VectorEnv(env, AutoresetMode.SAME_STEP)))


class VecEnv(vec_env.VecEnv):
    """A `VectorEnv` with same-step autoreset in stable-baselines3's words, in NumPy.

    Where an episode has ended, the observation is already the next one's first and `info["terminal_observation"]` the
    last one; `info["TimeLimit.truncated"]` says that it went on beyond a time limit. Measures, signals and the
    distractor, if they were asked for, are in `info` by name, at an episode's end those of its end. The environments
    share one batch: attributes and methods are the `BatchedEnv`'s, the same for all.
    """

    def __init__(self, env: gymnasium.vector.VectorEnv) -> None:
        """env: from `gymnasium.make_vec` with autoreset_mode="SameStep", or from `make_torch`."""
        inner = env.unwrapped
        if not isinstance(inner, VectorEnv) or inner.mode is not AutoresetMode.SAME_STEP:
            raise ValueError(f'stable-baselines3 needs our environments with autoreset_mode="SameStep", not {env}')
        self.env, self._actions = inner, np.zeros(())
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)
        self.metadata = dict(inner.metadata)

    def reset(self) -> VecEnvObs:
        """Begin new episodes everywhere, with the first of the seeds that `seed` gave out."""
        observation, _ = self.env.reset(seed=self._seeds[0], options=self._options[0])
        self._reset_seeds()
        self._reset_options()
        return to_numpy(observation)

    def step_async(self, actions: np.ndarray) -> None:
        self._actions = np.ascontiguousarray(actions)  # torch knows no array that was turned around

    def step_wait(self) -> VecEnvStepReturn:
        observation, reward, terminated, truncated, info = self.env.step(self._actions)
        told = to_numpy(info.get("final_info", info))  # where no episode has ended, both hold the same rows
        infos = [row(told, n) | {"TimeLimit.truncated": last} for n, last in enumerate(truncated.tolist())]
        done = (terminated | truncated).cpu().numpy()
        if "final_obs" in info:
            final = to_numpy(info["final_obs"])
            for n in done.nonzero()[0].tolist():
                infos[n]["terminal_observation"] = row(final, n)
        return to_numpy(observation), reward.cpu().numpy(), done, infos

    def close(self) -> None:
        self.env.close()

    def get_images(self) -> Sequence[np.ndarray | None]:
        """Return each environment's present frame (size, size, 3) uint8."""
        return [None] * self.num_envs if self.render_mode is None else self.env.render() or []

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        source = self.env if hasattr(self.env, attr_name) else self.env.env
        return [getattr(source, attr_name)] * self._count(indices)

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Set an attribute for all; raise ValueError for some."""
        if self._count(indices) < self.num_envs:
            raise ValueError(f"the environments share their attributes: set {attr_name} for all of them")
        setattr(self.env if hasattr(self.env, attr_name) else self.env.env, attr_name, value)

    def env_method(self, method_name: str, *args: Any, indices: VecEnvIndices = None, **kwargs: Any) -> list[Any]:
        """Call a method once, for all."""
        method = self.get_attr(method_name, 0)[0]
        return [method(*args, **kwargs)] * self._count(indices)

    def env_is_wrapped(self, wrapper_class: type[gymnasium.Wrapper], indices: VecEnvIndices = None) -> list[bool]:
        return [False] * self._count(indices)

    def _count(self, indices: VecEnvIndices) -> int:
        return len(list(self._get_indices(indices)))
