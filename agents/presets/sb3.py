"""Settings of stable-baselines3's algorithms, which see states."""

from typing import Any

from agents.config import Config
from agents.sb3.ppo import SB3PPOConfig
from agents.sb3.sac import SB3SACConfig

MODEL_FREE: dict[str, Config[Any]] = {
    "sb3-ppo": Config(
        "sb3-ppo", SB3PPOConfig(), observation="state", train_ratio=1 / 4096, prefill=0, replay_size=16_384
    ),
    "sb3-sac": Config("sb3-sac", SB3SACConfig(), observation="state", steps=500_000, train_ratio=0.25),
}
ABOUT = {
    "sb3-ppo": "stable-baselines3's PPO from states: a model-free baseline.",
    "sb3-sac": "stable-baselines3's SAC from states: a model-free baseline.",
}
