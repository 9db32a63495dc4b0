"""What stable-baselines3's algorithms have in common as agents.

Our loop acts and remembers; their `train` takes the gradient steps. Settings carry stable-baselines3's names and, where
nothing is said, its defaults.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
import torch
from gymnasium.spaces import Box
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.logger import Logger
from tensordict import TensorDict
from torch import Tensor

from agents.spaces import Spaces

T = TypeVar("T", bound=BaseAlgorithm)
CONSTANT = {"n_updates", "learning_rate", "clip_range"}  # what is logged and tells nothing here
SMALLEST = 36  # pixels, for its NatureCNN
LEAST = {"batch_size": 2, "n_epochs": 1}  # below, stable-baselines3 fails in the middle
POLICIES = {"state": "MlpPolicy", "pixels": "CnnPolicy"}


def seen(observation_shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Choose the state where there is one: pixels beside it are for people."""
    return "state" if "state" in observation_shapes else "pixels"


def observation(rows: TensorDict, name: str) -> Tensor:
    """Return observations (..., O), or frames with their channels in front (..., 3, S, S)."""
    return rows[name] if name == "state" else rows[name].movedim(-1, -3)


def build(
    kind: type[T],
    config: Any,
    spaces: Spaces,
    device: torch.device | str,
    **settings: Any,
) -> T:
    """Make an algorithm with the settings of a dataclass, without an environment, as its own `load` does."""
    settings |= vars(config)
    for option, least in LEAST.items():
        if settings.get(option, least) < least:
            raise ValueError(f"--agent.{option.replace('_', '-')} must be at least {least}, not {settings[option]}")
    settings["policy_kwargs"] = {"net_arch": list(settings.pop("net_arch"))}
    name = seen(spaces.observations)
    shape = spaces.observations[name]
    if name == "pixels" and min(shape[:2]) < SMALLEST:
        raise ValueError(f"--size must be at least {SMALLEST} for stable-baselines3's convolutions, not {shape[0]}")
    algorithm = kind(POLICIES[name], None, **settings, device=device, _init_setup_model=False)  # type: ignore[call-arg, arg-type]
    if name == "pixels":
        algorithm.observation_space = Box(0, 255, (shape[2], *shape[:2]), np.uint8)
    else:
        algorithm.observation_space = Box(-np.inf, np.inf, shape, np.float32)
    algorithm.action_space = Box(-1, 1, (spaces.action_dim,), np.float32)
    algorithm.n_envs = 1
    algorithm._setup_model()
    algorithm.set_logger(Logger(folder=None, output_formats=[]))
    return algorithm


def metrics(algorithm: BaseAlgorithm, name: str) -> dict[str, Tensor]:
    """Return what `train` has logged: losses as `loss/...`, what else changes as `name/...`."""
    found = {}
    for key, value in algorithm.logger.name_to_value.items():
        word = key.removeprefix("train/")
        if word not in CONSTANT:
            path = f"loss/{word.removesuffix('_loss')}" if word.endswith("_loss") else f"{name}/{word}"
            found["loss/total" if word == "loss" else path] = torch.tensor(float(value))
    return found
