"""Settings of several agents in one run, on states of one task. The archive of skills is left out until asked for."""

from dataclasses import replace
from typing import Any

from agents.config import Config
from agents.map_elites.pga_map_elites import PGAMapElitesConfig
from agents.map_elites.skill_map_elites import LiveSkillsConfig
from agents.map_elites.variation import VariationConfig
from agents.presets import infopower, map_elites
from agents.slim import SlimConfig
from agents.together import Each, TogetherConfig

SCENE: dict[str, Any] = {
    "task": "cheetah_run",
    "observation": "state",
    "measures": map_elites.FEET,
    "signals": True,
}
REWARDS = ("discovery", "effort:0.1")
LARGE = TogetherConfig(
    slim=SlimConfig(rewards=REWARDS),
    envs=Each(1, 4, 3, 0),
    updates=Each(1, 1 / 256, 1 / 8, 1 / 256),
)
SMALL = TogetherConfig(
    infopower=replace(infopower.SMALL, model=infopower.INFOPOWER, empowerment=0.01, shift=0),
    slim=SlimConfig(rewards=REWARDS, hidden=(64, 64), shared=1, std=0.5),
    map_elites=PGAMapElitesConfig(**map_elites.SMALL, td3=map_elites.CRITICS, variation=VariationConfig(initial=200)),
    skills=LiveSkillsConfig(
        archive=replace(map_elites.GRID, reevaluate=0.5), variation=VariationConfig(32, iso=0.2, line=0.2)
    ),
    envs=Each(8, 32, 24, 0),
    updates=Each(1, 1 / 64, 1, 1 / 64),
)
TOGETHER: dict[str, Config[Any]] = {
    "together": Config(
        "together", LARGE, **SCENE, num_envs=1024, steps=100_000_000, train_ratio=1 / 64, prefill=2**18,
        replay_size=2**22, eval_every=5_000_000, eval_episodes=64, log_every=500_000, checkpoint_every=5_000_000,
    ),
    "together-small": Config(
        "together-small", SMALL, **SCENE, action_repeat=4, num_envs=64, time_limit=252, steps=2_500_000,
        train_ratio=1 / 64, prefill=2**14, replay_size=2**19, eval_every=250_000, eval_episodes=20, log_every=25_000,
        checkpoint_every=250_000,
    ),
}  # fmt: skip
ABOUT = {
    "together": "InfoPower, SLIM and PGA-MAP-Elites side by side on one replay, from states. One GPU.",
    "together-small": "InfoPower, SLIM and PGA-MAP-Elites on one replay, for two processor cores.",
}
