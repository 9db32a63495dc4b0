"""The agents that the command line knows: their names, what makes them, and their settings."""

from collections.abc import Callable
from typing import Any

from agents import archive_presets, presets, skill_presets, together_presets
from agents.agent import Agent
from agents.config import Config, nearest
from agents.dcrl_map_elites import DCRLMapElitesConfig, dcrl_map_elites
from agents.imagined_map_elites import ImaginedMapElitesConfig, imagined_map_elites
from agents.infopower import InfoPower, InfoPowerConfig
from agents.map_elites import MapElitesConfig, map_elites
from agents.pga_map_elites import PGAMapElitesConfig, pga_map_elites
from agents.sb3_ppo import SB3PPO, SB3PPOConfig
from agents.sb3_sac import SB3SAC, SB3SACConfig
from agents.skill_map_elites import SkillMapElitesConfig, skill_map_elites
from agents.slim import Slim, SlimConfig
from agents.together import TogetherConfig, together

AGENTS: dict[str, Config[Any]] = {
    **presets.IMAGINATION,
    **archive_presets.ARCHIVES,
    **skill_presets.SKILLS,
    **together_presets.TOGETHER,
    "sb3-ppo": Config(
        "sb3-ppo", SB3PPOConfig(), observation="state", train_ratio=1 / 4096, prefill=0, replay_size=16_384
    ),
    "sb3-sac": Config("sb3-sac", SB3SACConfig(), observation="state", steps=500_000, train_ratio=0.25),
}
CLASSES: dict[type, Callable[..., Agent]] = {
    DCRLMapElitesConfig: dcrl_map_elites,
    InfoPowerConfig: InfoPower,
    MapElitesConfig: map_elites,
    PGAMapElitesConfig: pga_map_elites,
    ImaginedMapElitesConfig: imagined_map_elites,
    SB3PPOConfig: SB3PPO,
    SB3SACConfig: SB3SAC,
    SkillMapElitesConfig: skill_map_elites,
    SlimConfig: Slim,
    TogetherConfig: together,
}
ABOUT = {
    **presets.ABOUT,
    **archive_presets.ABOUT,
    **skill_presets.ABOUT,
    **together_presets.ABOUT,
    "sb3-ppo": "stable-baselines3's PPO from states: a model-free baseline.",
    "sb3-sac": "stable-baselines3's SAC from states: a model-free baseline.",
}


def preset(name: str) -> Config[Any]:
    """Return an agent's settings; raise ValueError, with the nearest name, for an unknown one."""
    if name not in AGENTS:
        raise ValueError(f"unknown agent {name}{nearest(name, AGENTS)}")
    return AGENTS[name]
