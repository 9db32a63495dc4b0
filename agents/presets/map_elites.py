"""Settings of the agents that fill archives: policies of published size for one GPU, and small ones.

They see states and act in as many environments as solutions are played at once. An evaluation is an episode:
`--time-limit` control steps.
"""

from dataclasses import replace
from typing import Any

from agents.archive.config import ArchiveConfig
from agents.config import Config
from agents.map_elites import MapElitesConfig
from agents.map_elites.dcrl_map_elites import DCRLMapElitesConfig
from agents.map_elites.imagined_map_elites import ImaginedMapElitesConfig
from agents.map_elites.pga_map_elites import PGAMapElitesConfig
from agents.map_elites.skill_map_elites import SkillMapElitesConfig
from agents.map_elites.td3 import TD3Config

FEET = ("back_foot_contact", "front_foot_contact")
GRID = ArchiveConfig(grid=(32, 32))
PUSHED = ("displacement_x", "displacement_y")  # metres, of the object
PUSHES = ArchiveConfig(grid=(24, 24), ranges=((-0.6, 0.6), (-0.6, 0.6)))  # cells of 5 cm
SMALL: dict[str, Any] = {"archive": GRID, "hidden": (64, 64)}
CRITICS = TD3Config(hidden=(128, 128), batch=128)
# Three steps of the critics for each evaluation, as in PGA-MAP-Elites; DCRL-MAP-Elites has twelve, which its small
# preset cannot afford, and a replay of four episodes an environment, since rows of unfinished ones teach nothing.
LARGE_PACE: dict[str, Any] = {"train_ratio": 3 / 1000, "prefill": 2**14}
CONDITIONED_PACE: dict[str, Any] = {"train_ratio": 12 / 1000, "prefill": 2**14, "replay_size": 2**22}
SMALL_PACE: dict[str, Any] = {"train_ratio": 3 / 250, "prefill": 2**10}


def large(name: str, agent: Any, train_ratio: float, prefill: int = 0, replay_size: int = 2**20) -> Config[Any]:
    """Return settings for one GPU: a million evaluations of a thousand steps."""
    return Config(
        name,
        agent,
        task="cheetah_run",
        observation="state",
        measures=FEET,
        action_repeat=1,
        num_envs=1024,
        steps=1_000_000_000,
        train_ratio=train_ratio,
        prefill=prefill,
        replay_size=replay_size,
        eval_every=100_000_000,
        eval_episodes=1024,
        log_every=10_000_000,
        checkpoint_every=100_000_000,
    )


def small(name: str, agent: Any, train_ratio: float, prefill: int = 0, replay_size: int = 500_000) -> Config[Any]:
    """Return settings for two processor cores: twenty thousand evaluations of 250 steps."""
    return replace(
        large(name, agent, train_ratio, prefill, replay_size),
        num_envs=64,
        time_limit=250,
        steps=5_000_000,
        eval_every=1_000_000,
        eval_episodes=64,
        log_every=100_000,
        checkpoint_every=1_000_000,
    )


ARCHIVES: dict[str, Config[Any]] = {
    "map-elites": large("map-elites", MapElitesConfig(), 1 / 2**20, replay_size=2**16),
    "imagined-map-elites": large("imagined-map-elites", ImaginedMapElitesConfig(), 1 / 2**14, prefill=2**20),
    "imagined-map-elites-small": small(
        "imagined-map-elites-small", ImaginedMapElitesConfig(**SMALL), 1 / 2**9, prefill=2**14
    ),
    "map-elites-small": small("map-elites-small", MapElitesConfig(**SMALL), 1 / 2**14, replay_size=2**12),
    "pga-map-elites": large("pga-map-elites", PGAMapElitesConfig(), **LARGE_PACE),
    "pga-map-elites-small": small("pga-map-elites-small", PGAMapElitesConfig(**SMALL, td3=CRITICS), **SMALL_PACE),
    "dcrl-map-elites": large("dcrl-map-elites", DCRLMapElitesConfig(), **CONDITIONED_PACE),
    "dcrl-map-elites-small": small("dcrl-map-elites-small", DCRLMapElitesConfig(**SMALL, td3=CRITICS), **SMALL_PACE),
    "skill-map-elites": replace(
        large("skill-map-elites", SkillMapElitesConfig(archive=PUSHES), 1 / 2**20, replay_size=2**16),
        task="panda_tabletop",
        measures=PUSHED,
    ),
    "skill-map-elites-small": replace(
        small("skill-map-elites-small", SkillMapElitesConfig(archive=PUSHES), 1 / 2**14, replay_size=2**12),
        task="point_mass_easy",
        measures=PUSHED,
        action_repeat=2,
        time_limit=200,
        steps=1_000_000,
    ),
}
ABOUT = {
    "map-elites": "MAP-Elites: an archive of policies that differ in an episode's measures. Published sizes, one GPU.",
    "imagined-map-elites": "MAP-Elites that plays the offspring for which learned models vote. One GPU.",
    "imagined-map-elites-small": "MAP-Elites with learned models for two processor cores.",
    "map-elites-small": "MAP-Elites for two processor cores: 20,000 evaluations of 250 steps in minutes.",
    "pga-map-elites": "PGA-MAP-Elites: half of the offspring follow critics that learn from the replay. One GPU.",
    "pga-map-elites-small": "PGA-MAP-Elites for two processor cores, at map-elites-small's evaluations.",
    "dcrl-map-elites": "DCRL-MAP-Elites: critics and an actor that are told which measures to show. One GPU.",
    "dcrl-map-elites-small": "DCRL-MAP-Elites for two processor cores, at map-elites-small's evaluations.",
    "skill-map-elites": "MAP-Elites over sequences of a SLIM library's skills: --agent.library RUN. One GPU.",
    "skill-map-elites-small": "MAP-Elites over the skills of slim-small for two processor cores: 5,000 evaluations.",
}
