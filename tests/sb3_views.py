"""Environments as stable-baselines3 sees them: a task's, and scripted ones."""

from typing import Any

from gymnasium.vector import AutoresetMode
from scripted import Scripted

import envs.sb3
from envs.gym import VectorEnv, make_torch


def view(task: str, num_envs: int, **options: Any) -> envs.sb3.VecEnv:
    return envs.sb3.VecEnv(make_torch(task, num_envs, AutoresetMode.SAME_STEP, **options))


def scripted(**options: Any) -> envs.sb3.VecEnv:
    return envs.sb3.VecEnv(VectorEnv(Scripted(**options), AutoresetMode.SAME_STEP))  # type: ignore[arg-type]
