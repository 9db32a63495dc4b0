"""When to do what: predicates over the count of environment steps."""

from typing import Any


class Every:
    """Say whether a step has just passed a multiple of `period`; never, if the period is 0."""

    def __init__(self, period: int, increment: int) -> None:
        """increment: by how much the step grows between calls."""
        self.period, self.increment = period, increment

    def __call__(self, step: int) -> bool:
        return self.period > 0 and step // self.period > (step - self.increment) // self.period


class Ratio:
    """Say how many updates are due when each environment step earns `ratio` of one; what is left over is kept."""

    def __init__(self, ratio: float, increment: int) -> None:
        self.earned, self.credit = ratio * increment, 0.0

    def __call__(self) -> int:
        self.credit += self.earned
        due = int(self.credit)
        self.credit -= due
        return due

    def state_dict(self) -> dict[str, Any]:
        return {"credit": self.credit}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.credit = state_dict["credit"]
