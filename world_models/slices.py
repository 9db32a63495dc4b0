"""Time in a slice of rows (B, T): what came before, and which rows lie in one episode."""

import torch
from torch import Tensor
from torch.nn import functional as F


def shift(x: Tensor) -> Tensor:
    """Move (B, T, ...) one step later in time; zeros enter at the front."""
    return F.pad(x[:, :-1], (0, 0, 1, 0))


def slice_resets(is_first: Tensor) -> Tensor:
    """Where h restarts in a slice (B, T): at resets, and at the slice's start, whose past is unknown (our choice)."""
    reset = is_first.clone()
    reset[:, 0] = True
    return reset


def has_reward(is_first: Tensor) -> Tensor:
    """Mark (B, T) rows with an action and a reward before them, be it outside of the slice: 1.0 or 0.0."""
    return (~is_first).float()


def has_past(is_first: Tensor) -> Tensor:
    """Mark (B, T) rows with a row of their episode before them in the slice, so with a prior: 1.0 or 0.0."""
    return windows_inside(is_first, 2)


def windows_inside(is_first: Tensor, window: int) -> Tensor:
    """Mark (B, T) rows whose `window` latest rows lie in one episode and in the slice: 1.0 or 0.0."""
    start = slice_resets(is_first)
    blocked = torch.zeros_like(start)
    for age in range(window - 1):
        blocked[:, age:] |= start[:, : start.shape[1] - age]
    return (~blocked).float()


def windows(x: Tensor, window: int) -> Tensor:
    """Return the `window` latest entries x_{t-W+1}..x_t of every row (B, T, W, C); zeros stand before the slice."""
    padded = F.pad(x, (0, 0, window - 1, 0))  # (B, T+W-1, C)
    return padded.unfold(1, window, 1).movedim(-1, -2)  # (B, T, W, C)


def mean_where(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of already masked values over the mask."""
    return values.sum() / mask.sum().clamp(min=1)
