"""Settings of the agents that learn in imagination: each objective at contrastive Dreamer's sizes, and small.

The small ones differ in the objective alone: sizes, batches, updates, the reward's weight, the behaviour and its
learning rates are the same, and so is the posterior. They take minutes on two processor cores, where updates cost more
than steps: there are few of them, at high learning rates (our choice).
"""

from dataclasses import replace
from typing import Any

from agents.config import Config
from agents.infopower import InfoPowerConfig
from world_models.c_dreamer import CDreamerModelConfig
from world_models.dreamer import DreamerModelConfig
from world_models.infopower import InfoPowerModelConfig
from world_models.infopower_plus import InfoPowerPlusModelConfig
from world_models.objectives import ModelConfig
from world_models.r2 import R2ModelConfig
from world_models.repo import RePoModelConfig

SIZES: dict[str, Any] = {
    "convolutions": ((8, 4, 2), (16, 4, 2), (32, 4, 2)),
    "embed": 128,
    "deter": 128,
    "stoch": 24,
    "classes": 8,
    "hidden": 128,
    "posterior": "observation",
    "reward_std": 0.316,
    "prior_reward_scale": 0.5,
}
SMALL = InfoPowerConfig(
    batch=24,
    length=10,
    horizon=12,
    starts=96,
    hidden=128,
    discount=0.97,
    model_lr=2e-3,
    actor_lr=6e-4,
    critic_lr=6e-4,
    model_clip=20.0,
    behaviour_clip=10.0,
    shift=3,
)
INFOPOWER = InfoPowerModelConfig(**SIZES, critic=128, bound="infonce")
# 6,000 updates are a twentieth of the published ones: dual variables start nearer and move faster.
REPO = RePoModelConfig(**SIZES, dual_init=1e-2, dual_lr=3e-3)
INFOPOWER_PLUS = InfoPowerPlusModelConfig(**SIZES, critic=128, dual_lr=3e-3)
DREAMER, C_DREAMER, R2 = DreamerModelConfig(**SIZES), CDreamerModelConfig(**SIZES, critic=128), R2ModelConfig(**SIZES)


def large(name: str, model: ModelConfig, empowerment: float = 0.0) -> Config[InfoPowerConfig]:
    """Return settings for one GPU."""
    return Config(name, InfoPowerConfig(model=model, empowerment=empowerment))


def small(name: str, model: ModelConfig, empowerment: float = 0.0) -> Config[InfoPowerConfig]:
    """Return settings for two processor cores."""
    agent = replace(SMALL, model=model, empowerment=empowerment)
    return Config(name, agent, action_repeat=4, steps=200_000, train_ratio=1 / 32, prefill=8000, replay_size=50_000)


IMAGINATION: dict[str, Config[Any]] = {
    "infopower": large("infopower", InfoPowerModelConfig(), empowerment=0.01),
    "infopower-small": small("infopower-small", INFOPOWER, empowerment=0.01),
    "infopower-plus": large("infopower-plus", InfoPowerPlusModelConfig(), empowerment=0.01),
    "infopower-plus-small": small("infopower-plus-small", INFOPOWER_PLUS, empowerment=0.01),
    "dreamer": large("dreamer", DreamerModelConfig()),
    "dreamer-small": small("dreamer-small", DREAMER),
    "c-dreamer": large("c-dreamer", CDreamerModelConfig()),
    "c-dreamer-small": small("c-dreamer-small", C_DREAMER),
    "repo": large("repo", RePoModelConfig()),
    "repo-small": small("repo-small", REPO),
    "r2": large("r2", R2ModelConfig(latent="categorical", stoch=32, classes=16)),
    "r2-small": small("r2-small", R2),
}
ABOUT = {
    "infopower": "InfoPower: encodes what the agent controls first. Published sizes of contrastive Dreamer, one GPU.",
    "infopower-small": "InfoPower for two processor cores: minutes from pixels to a policy.",
    "infopower-plus": "InfoPower+, ours: informed about what will be seen, a target for each constraint. One GPU.",
    "infopower-plus-small": "InfoPower+ for two processor cores.",
    "dreamer": "Dreamer: reconstructs what it sees, backgrounds included. Published sizes, one GPU.",
    "dreamer-small": "Dreamer at infopower-small's sizes and settings.",
    "c-dreamer": "Contrastive Dreamer (CVRL): tells what it sees from other pictures. Published sizes, one GPU.",
    "c-dreamer-small": "Contrastive Dreamer at infopower-small's sizes and settings.",
    "repo": "RePo: keeps what predicts the reward and caps all else. Published sizes, one GPU.",
    "repo-small": "RePo at infopower-small's sizes and settings.",
    "r2": "R2-Dreamer's objective: latent and picture agree, dimension by dimension. One GPU.",
    "r2-small": "R2-Dreamer's objective at infopower-small's sizes and settings.",
}
