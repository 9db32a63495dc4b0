"""The agents that the command line knows: their names, classes and settings."""

from collections.abc import Callable
from typing import Any

from agents.agent import Agent
from agents.config import Config, nearest
from agents.infopower import InfoPower, InfoPowerConfig
from agents.sb3_ppo import SB3PPO, SB3PPOConfig
from agents.sb3_sac import SB3SAC, SB3SACConfig
from world_models.infopower import InfoPowerModelConfig

# Sized for minutes on two processor cores. The weights put the reward and the action before the rest of the picture:
# lambda starts high and falls only once the constraint holds.
SMALL = InfoPowerConfig(
    model=InfoPowerModelConfig(
        convolutions=((8, 4, 2), (16, 4, 2), (32, 4, 2)),
        embed=128,
        deter=128,
        stoch=24,
        hidden=128,
        critic=128,
        bound="infonce",
        posterior_scale=0.3,
        free_nats=0.0,
        reward_std=0.316,  # the squared error weighs 1 / (2 * 0.316^2) = 5
        prior_reward_scale=0.5,
        inverse_scale=0.1,
        constraint=-8.0,
        dual_init=50.0,
    ),
    batch=24,
    length=10,
    horizon=12,
    starts=96,
    hidden=128,
    discount=0.97,
    empowerment=0.01,
    entropy=0.02,
    model_lr=8e-4,
    actor_lr=3e-4,
    critic_lr=3e-4,
    model_clip=20.0,
    behaviour_clip=10.0,
    shift=3,
)
AGENTS: dict[str, Config[Any]] = {
    "infopower": Config("infopower", InfoPowerConfig()),
    "infopower-small": Config(
        "infopower-small", SMALL, action_repeat=4, steps=200_000, train_ratio=1 / 16, prefill=8000, replay_size=50_000
    ),
    "sb3-ppo": Config(
        "sb3-ppo", SB3PPOConfig(), observation="state", train_ratio=1 / 4096, prefill=0, replay_size=16_384
    ),
    "sb3-sac": Config("sb3-sac", SB3SACConfig(), observation="state", steps=500_000, train_ratio=0.25),
}
CLASSES: dict[type, Callable[..., Agent]] = {
    InfoPowerConfig: InfoPower,
    SB3PPOConfig: SB3PPO,
    SB3SACConfig: SB3SAC,
}
ABOUT = {
    "infopower": "InfoPower at the published sizes of contrastive Dreamer, for one GPU.",
    "infopower-small": "InfoPower for two processor cores: minutes from pixels to a policy.",
    "sb3-ppo": "stable-baselines3's PPO from states: a model-free baseline.",
    "sb3-sac": "stable-baselines3's SAC from states: a model-free baseline.",
}


def preset(name: str) -> Config[Any]:
    """Return an agent's settings; raise ValueError, with the nearest name, for an unknown one."""
    if name not in AGENTS:
        raise ValueError(f"unknown agent {name}{nearest(name, AGENTS)}")
    return AGENTS[name]
