"""The settings of every agent that the command line knows, by its name."""

from typing import Any

from agents.config import Config
from agents.presets import infopower, map_elites, sb3, slim, together

AGENTS: dict[str, Config[Any]] = {
    **infopower.IMAGINATION,
    **map_elites.ARCHIVES,
    **slim.SKILLS,
    **together.TOGETHER,
    **sb3.MODEL_FREE,
}
ABOUT = {**infopower.ABOUT, **map_elites.ABOUT, **slim.ABOUT, **together.ABOUT, **sb3.ABOUT}
