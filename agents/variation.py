"""Variation of solutions: isotropic noise, and noise along the line to another elite (arXiv 1804.03906)."""

import torch
from torch import Tensor


@torch.no_grad()
def iso_line(first: Tensor, second: Tensor, iso: float, line: float, generator: torch.Generator) -> Tensor:
    """Return first + iso N(0, I) + line N(0, 1) (second - first): solutions (n, P) like both parents.

    generator: on the solutions' device. The second factor is one number a solution.
    """
    noise = torch.randn(first.shape, device=first.device, generator=generator)  # (n, P)
    along = torch.randn(len(first), 1, device=first.device, generator=generator)  # (n, 1)
    return first + iso * noise + line * along * (second - first)
