"""Suites of conditions under which a trained agent is tried: what moves around it, how large, and how often it changes.

`distracting` covers what the field compares on: InfoPower's three levels and its agent behind the agent (arXiv
2204.08585), videos that change with the episode, as in TPC and DreamerPro ("natural"), and the Distracting Control
Suite. Videos are this suite's own, generated, recorded or from a user's folder.
"""

from dataclasses import dataclass
from typing import Any

from envs.distractions import shows_background

PLAIN = "clean"  # the condition in which nothing distracts


@dataclass(frozen=True)
class Condition:
    """What is shown; `family` names the panel of a figure in which it stands."""

    name: str
    family: str
    distraction: str
    distraction_window: int = 64
    video_change: int = 50
    background: str = "sky+floor"

    @property
    def options(self) -> dict[str, Any]:
        """What `envs.make` is asked for."""
        names = ("distraction", "distraction_window", "video_change", "background")
        return {name: getattr(self, name) for name in names}

    @property
    def splits(self) -> tuple[str, ...]:
        """Whose videos it is played in front of: held-out ones, and where there are any, those of training."""
        return ("held_out", "train") if shows_background(self.distraction) else ("held_out",)


LEVELS, OTHERS, SUITE = "InfoPower's levels", "agent, natural", "Distracting Control Suite"
SUITES = {
    "distracting": (
        Condition(PLAIN, PLAIN, "none"),
        Condition("L1", LEVELS, "video", 32),
        Condition("L2", LEVELS, "video", 40),
        Condition("L3", LEVELS, "video", 64),
        Condition("agent", OTHERS, "agent"),
        Condition("natural", OTHERS, "video", video_change=0),
        Condition("dcs-easy", SUITE, "dcs-easy", video_change=0),
        Condition("dcs-medium", SUITE, "dcs-medium", video_change=0),
        Condition("dcs-hard", SUITE, "dcs-hard", video_change=0),
    )
}
