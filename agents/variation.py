"""Variation of solutions: isotropic noise, and noise along the line to another elite (arXiv 1804.03906)."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class VariationConfig:
    initial: int = 500
    """Random solutions to begin with."""
    iso: float = 0.005
    """Deviation of the isotropic part of a variation."""
    line: float = 0.05
    """Deviation of the part along the line to another elite."""


@torch.no_grad()
def iso_line(first: Tensor, second: Tensor, iso: float, line: float, generator: torch.Generator) -> Tensor:
    """Return first + iso N(0, I) + line N(0, 1) (second - first): solutions (n, P) like both parents.

    generator: on the solutions' device. The second factor is one number a solution.
    """
    noise = torch.randn(first.shape, device=first.device, generator=generator)  # (n, P)
    along = torch.randn(len(first), 1, device=first.device, generator=generator)  # (n, 1)
    return first + iso * noise + line * along * (second - first)
