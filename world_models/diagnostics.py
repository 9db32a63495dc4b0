"""What a representation holds: measures of codes (K, S) against what is known of the rows they come from."""

from collections.abc import Callable

import torch
from torch import Tensor

RIDGE = 1e-3  # of the probes, for standardised inputs: our choice
CONSTANT = 1e-4  # share of its largest standard deviation below which a column counts as constant: our choice


def ridge(x: Tensor, y: Tensor, strength: float = RIDGE) -> Callable[[Tensor], Tensor]:
    """Fit targets (K, Y) linearly by inputs (K, X); return what predicts them, (L, X) -> (L, Y).

    Inputs are standardised by x's own mean and deviation, constant ones left out, and the penalty grows with K. In
    float64.
    """
    x, y = x.double(), y.double()
    mean, std, middle = x.mean(0), deviation(x), y.mean(0)
    inputs = (x - mean) / std  # (K, X)
    gram = inputs.T @ inputs + strength * len(x) * torch.eye(x.shape[1], dtype=x.dtype, device=x.device)  # (X, X)
    weights = torch.linalg.solve(gram, inputs.T @ (y - middle))  # (X, Y)
    return lambda new: (new.double() - mean) / std @ weights + middle


def r_squared(predicted: Tensor, y: Tensor) -> Tensor:
    """Return R^2 of each target, (K, Y), (K, Y) -> (Y,): 1 is perfect, 0 the mean of y; NaN where y is constant."""
    y = y.double()
    spread = (y - y.mean(0)).square().mean(0)  # (Y,)
    r2 = 1 - (predicted - y).square().mean(0) / spread
    return torch.where(spread.sqrt() > CONSTANT * spread.sqrt().max().clamp(min=1e-9), r2, torch.nan)


def probe(codes: Tensor, targets: Tensor) -> Tensor:
    """Return R^2 (Y,) of a linear probe of targets (N, T, Y) on codes (N, T, S), on episodes that it was not fitted on.

    Fitted on the first half of the N episodes, asked about the others.
    """
    assert len(codes) > 1, "a probe needs an episode to fit and another to ask about"
    half = len(codes) // 2
    (x, held_out), (y, truth) = ((part[:half].flatten(0, 1), part[half:].flatten(0, 1)) for part in (codes, targets))
    return r_squared(ridge(x, y)(held_out), truth)


def similarity(codes: Tensor, states: Tensor) -> Tensor:
    """Compare the geometries of codes (K, S) and states (K, O): 1 where they are equal up to scale, 0 at the least.

    InfoPower's measure (arXiv 2204.08585): complete graphs over the rows, whose edges weigh their Euclidean distance,
    rescaled, matched row by row. The paper's formula could not be read: here the edges of each graph sum to 1, and we
    subtract half of the sum of what they differ by, their total variation (our choice). States are standardised.
    In many dimensions all distances are alike, so compare with what codes in another order give.
    """
    edges = [torch.pdist(x.double()) for x in (codes, standardized(states))]  # K (K - 1) / 2 each
    return 1 - 0.5 * (edges[0] / edges[0].sum() - edges[1] / edges[1].sum()).abs().sum()


def effective_rank(codes: Tensor) -> Tensor:
    """Return how many directions codes (K, S) use: e to the entropy of their covariance's eigenvalues, in 1..S.

    Roy and Vetterli (2007) take singular values; their squares are the variance along each direction (our choice).
    """
    variance = torch.linalg.svdvals((codes - codes.mean(0)).double()).square()  # (S,)
    share = variance / variance.sum()
    return torch.special.entr(share).sum().exp()


def nearest(codes: Tensor, queries: Tensor, allowed: Tensor, count: int = 1) -> tuple[Tensor, Tensor]:
    """Find the `count` rows of codes (K, S) nearest to each of the rows that queries (Q,) name.

    Returns distances and rows, (Q, count) each, nearest first. Only rows that allowed (Q, K) bool marks count; where
    there are none the distance is infinite. Codes are standardised.
    """
    standard = standardized(codes)
    distance = torch.cdist(standard[queries], standard).masked_fill(~allowed, torch.inf)  # (Q, K)
    distances, rows = distance.topk(count, dim=1, largest=False)
    return distances, rows


def standardized(x: Tensor) -> Tensor:
    """Return columns (K, X) of mean 0 and deviation 1, in float64; constant ones become 0."""
    x = x.double()
    return (x - x.mean(0)) / deviation(x)


def deviation(x: Tensor) -> Tensor:
    """Return the standard deviation of columns (K, X) -> (X,), or one too large for them where they are constant."""
    std = x.std(0)
    return std.clamp(min=CONSTANT * std.max().clamp(min=1e-9))
