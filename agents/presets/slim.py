"""Settings of the agents that learn skills."""

from dataclasses import replace
from typing import Any

from agents.config import Config
from agents.slim import SlimConfig
from agents.slim.discovery import DiscoveryConfig

SMALL = SlimConfig(rewards=("discovery", "effort:0.3"), hidden=(64, 64), shared=1, std=0.5)
SMALL_TABLETOP = SlimConfig(
    rewards=("reach", "discovery:2", "safety:0.3"),
    discovery=DiscoveryConfig(dual_lr=0.01),
    hidden=(256, 128),
    shared=1,
    std=0.5,
    kl=0.02,
    epochs=8,
)
TABLETOP = Config(
    "slim",
    SlimConfig(),
    task="panda_tabletop",
    observation="state",
    signals=True,
    action_repeat=1,
    num_envs=2048,
    steps=100_000_000,
    train_ratio=1 / 51_200,  # 25 actions in each of 2048 environments
    prefill=0,
    replay_size=2**20,
    eval_every=10_000_000,
    log_every=1_000_000,
    checkpoint_every=10_000_000,
)
SKILLS: dict[str, Config[Any]] = {
    "slim": TABLETOP,
    "slim-tabletop-small": replace(
        TABLETOP,
        name="slim-tabletop-small",
        agent=SMALL_TABLETOP,
        num_envs=64,
        steps=1_200_000,
        train_ratio=1 / 4096,  # 64 actions in each of 64 environments
        replay_size=131_072,
        eval_every=500_000,
        log_every=50_000,
        checkpoint_every=500_000,
    ),
    "slim-small": replace(
        TABLETOP,
        name="slim-small",
        agent=SMALL,
        task="point_mass_easy",
        action_repeat=2,
        num_envs=64,
        time_limit=200,
        steps=300_000,
        train_ratio=1 / 4096,  # 32 actions in each of 64 environments
        replay_size=131_072,
        eval_every=100_000,
        log_every=10_000,
        checkpoint_every=100_000,
    ),
}
ABOUT = {
    "slim": "SLIM: manipulation skills from reach, discovery and safety, with a critic for each. One GPU.",
    "slim-tabletop-small": "SLIM on the table-top for two processor cores, within minutes: pushing, hardly grasping.",
    "slim-small": "SLIM, skills with one critic for each reward, for two processor cores: minutes on a point mass.",
}
