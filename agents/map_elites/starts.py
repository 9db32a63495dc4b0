"""Where real episodes began: from there others are imagined."""

from typing import Any

import torch
from tensordict import TensorDict
from torch import Tensor

STARTS = 1024  # first rows of episodes that are remembered: our choice


class Starts:
    """The first rows of the last episodes: states (O,), and what the measures read there (M,)."""

    def __init__(self, observed: int, readings: int, device: torch.device | str) -> None:
        self.rows = torch.zeros(STARTS, observed + readings, device=device)
        self.sizes = [observed, readings]
        self.seen = 0  # first rows

    def add(self, timestep: TensorDict) -> None:
        """Remember the first rows of a timestep (N,), in the place of the oldest. Asks the device which they are."""
        first = timestep["is_first"].nonzero().squeeze(1)  # (n,)
        places = torch.arange(self.seen, self.seen + len(first), device=first.device) % STARTS
        self.rows[places] = torch.cat([timestep["state"][first], timestep["readings"][first]], 1)
        self.seen += len(first)

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw states (n, O) and readings (n, M)."""
        drawn = torch.randint(min(self.seen, STARTS), (count,), device=self.rows.device, generator=generator)
        state, readings = self.rows[drawn].split(self.sizes, 1)
        return state, readings

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows.clone(), "seen": self.seen}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows.copy_(state_dict["rows"])
        self.seen = state_dict["seen"]
