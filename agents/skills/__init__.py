"""Skills that were learned, as a library: to act by, to go to goals with, to plan over."""

from agents.skills.library import HOLD, Origin, SkillLibrary, Skills

__all__ = ["HOLD", "Origin", "SkillLibrary", "Skills"]
