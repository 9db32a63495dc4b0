"""The agents that the command line knows: what makes them, and their settings by name."""

from collections.abc import Callable
from typing import Any

from agents.agent import Agent
from agents.config import Config, nearest
from agents.infopower import InfoPower, InfoPowerConfig
from agents.map_elites import MapElitesConfig, map_elites
from agents.map_elites.dcrl_map_elites import DCRLMapElitesConfig, dcrl_map_elites
from agents.map_elites.imagined_map_elites import ImaginedMapElitesConfig, imagined_map_elites
from agents.map_elites.pga_map_elites import PGAMapElitesConfig, pga_map_elites
from agents.map_elites.skill_map_elites import SkillMapElitesConfig, skill_map_elites
from agents.presets import AGENTS
from agents.sb3.ppo import SB3PPO, SB3PPOConfig
from agents.sb3.sac import SB3SAC, SB3SACConfig
from agents.slim import Slim, SlimConfig
from agents.together import TogetherConfig, together

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


def preset(name: str) -> Config[Any]:
    """Return an agent's settings; raise ValueError, with the nearest name, for an unknown one."""
    if name not in AGENTS:
        raise ValueError(f"unknown agent {name}{nearest(name, AGENTS)}")
    return AGENTS[name]
