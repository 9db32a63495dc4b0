"""Where skills come from: the unit sphere, at random or evenly spread."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def drawn_skills(like: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Draw skills (..., Z) uniformly from the unit sphere, by default from torch's own generator of the device."""
    return F.normalize(torch.randn(like.shape, dtype=like.dtype, device=like.device, generator=generator), dim=-1)


def even_skills(number: Tensor, skill_dim: int) -> Tensor:
    """Return skills (..., Z) by their numbers (...): any run of numbers is spread evenly over the unit sphere.

    In the plane each turns on by the golden angle, on a line they alternate; beyond, Roberts' sequence in the unit cube
    is carried to the sphere by the normal distribution.
    """
    number = number.double()
    if skill_dim == 1:
        return (1 - 2 * (number % 2)).unsqueeze(-1).float()
    if skill_dim == 2:
        angle = number * math.pi * (3 - math.sqrt(5))
        return torch.stack([angle.cos(), angle.sin()], -1).float()
    root = 2.0
    for _ in range(64):  # root^(Z + 1) = root + 1
        root = (1 + root) ** (1 / (skill_dim + 1))
    steps = torch.tensor([root ** -(axis + 1) for axis in range(skill_dim)], dtype=torch.float64, device=number.device)
    cube = (0.5 + (number.unsqueeze(-1) + 1) * steps) % 1  # (..., Z)
    return F.normalize(torch.special.ndtri(cube.clamp(1e-6, 1 - 1e-6)), dim=-1).float()
